// One frame of a picture. The code that draws it, scene.js, is far larger and comes once a run; earlier frames wait for it.
export default function (component) {
  const scenes = (globalThis.scenes ??= { waiting: new Map() });
  if (scenes.show) scenes.show(component);
  else scenes.waiting.set(component.parentElement, component);
  return () => {
    scenes.waiting.delete(component.parentElement);
    globalThis.scenes.forget?.(component);
  };
}
