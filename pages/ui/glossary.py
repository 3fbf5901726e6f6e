"""The terms of the course in both languages: one word per idea, everywhere. A table and nothing else.

Every name on a page comes from here: the glossary page, the terms under a lesson, and `text.term` all read it.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One idea. Of each pair the Chinese stands first."""

    name: str  # language-free: in the address, in code
    zh: str
    en: str
    everyday: tuple[str, str]  # how one says it in a sentence, loosely
    precise: tuple[str, str]  # what it means, and where the everyday wording misleads; Markdown
    formula: str = ""  # KaTeX
    lessons: tuple[str, ...] = ()  # stems of those that show it; each names at most a dozen terms


FOUNDATIONS = (
    Entry(
        "neuron", "神经元", "neuron",
        ("把几个输入加权相加，再决定自己有多“兴奋”。", "Adds its inputs up, each with its weight, and decides how excited to be."),
        ("一个带参数的函数：输入的加权和加上偏置，再经过激活函数。它和生物神经元只有粗略的相似。", "A function with parameters: a weighted sum of its inputs plus a bias, passed through an activation function. Its likeness to a nerve cell is loose."),
        r"a = f(\mathbf{w}^\top\mathbf{x} + b)",
        ("neuron",),
    ),
    Entry(
        "net_input", "净输入", "net input",
        ("神经元在“表态”之前收到的总和。", "The total that a neuron receives before it reacts."),
        ("加权和加偏置 $z$，尚未经过激活函数。它可以是任何实数，并不限于 0 到 1。", "The weighted sum plus bias, $z$, before the activation function. Any real number, not confined to 0…1."),
        r"z = \mathbf{w}^\top\mathbf{x} + b",
        ("neuron", "backpropagation"),
    ),
    Entry(
        "activation", "活性值", "activation",
        ("神经元给出的数。", "The number that a neuron gives out."),
        ("净输入经过激活函数后的值 $a=f(z)$，是下一层的输入。不要与激活函数 $f$ 本身混淆。", "The net input after the activation function, $a=f(z)$: what the next layer reads. Not the function $f$ itself."),
        r"a = f(z)",
        ("neuron", "backpropagation"),
    ),
    Entry(
        "activation_function", "激活函数", "activation function",
        ("让网络能“拐弯”的那一步。", "The step that lets a network bend."),
        ("逐个作用于净输入的非线性函数，如 sigmoid、tanh、ReLU。没有它，再多层也只等于一个仿射映射。", "A nonlinear function applied to each net input, such as sigmoid, tanh or ReLU. Without it any number of layers is one affine map."),
        r"\sigma(z) = \frac{1}{1+e^{-z}}, \quad \tanh z = 2\sigma(2z) - 1, \quad \operatorname{ReLU}(z) = \max(0, z)",
        ("neuron", "playground"),
    ),
    Entry(
        "saturation", "饱和", "saturation",
        ("推得再用力，输出也几乎不动。", "Push harder, and the output hardly moves."),
        ("净输入很大或很小时，激活函数几乎是平的，导数接近 0，梯度传不过去。sigmoid 的导数至多 ¼；tanh 的至多 1，而且只在 0 处取到。", "Where the net input is far from 0 the activation function is nearly flat, so its derivative, and the gradient through it, is nearly 0. A sigmoid's derivative is at most ¼; tanh's at most 1, and that only at 0."),
        r"\sigma'(z) = \sigma(z)\,(1-\sigma(z)) \le \tfrac14, \qquad \tanh'(z) = 1 - \tanh^2 z \le 1",
        ("neuron", "backpropagation", "gradient_flow"),
    ),
    Entry(
        "dying_relu", "死亡 ReLU", "dying ReLU",
        ("一个再也不出声的神经元。", "A neuron that has fallen silent for good."),
        ("净输入对所有训练样本都为负的 ReLU 单元：输出和梯度都是 0，自己的权重不再更新。多因学习率过大；只对部分样本为 0 是正常的。", "A ReLU unit whose net input is negative for every training example: output and gradient are 0, so its own weights no longer change. Mostly from too high a learning rate; being 0 for some examples is normal."),
        r"z_n \le 0 \;\;\forall n \quad\Rightarrow\quad \frac{\partial L}{\partial \mathbf{w}} = \mathbf{0}",
        ("neuron", "playground", "cnn"),
    ),
    Entry(
        "parameter", "参数", "parameter",
        ("网络自己学出来的数。", "A number that the network learns by itself."),
        ("由梯度下降更新的数：权重和偏置；一个卷积层有下面这么多。核大小、步长、学习率由人选定，是超参数，不算在内。", "A number that gradient descent updates: a weight or a bias; a convolutional layer has as many as below. Kernel size, stride and learning rate are chosen by us: hyperparameters, which do not count."),
        r"C_{\text{out}}\,(C_{\text{in}}\,k^2 + 1)",
        ("neuron", "pooling"),
    ),
    Entry(
        "forward_pass", "前向传播", "forward pass",
        ("从输入一层层算到输出。", "Compute layer by layer from input to output."),
        ("依次计算各层的净输入和活性值，得到输出和损失。参数不变；中间的值留给反向传播用。", "Net inputs and activations of every layer in order, up to the output and the loss. No parameter changes; the values on the way are kept for backpropagation."),
        r"\mathbf{a}^{(l)} = f\big(W^{(l)}\mathbf{a}^{(l-1)} + \mathbf{b}^{(l)}\big)",
        ("neuron", "backpropagation"),
    ),
    Entry(
        "backpropagation", "反向传播", "backpropagation",
        ("把错误从输出一层层追回去，看谁该改多少。", "Trace the mistake back, layer by layer, to see who should change by how much."),
        ("用链式法则从后往前算出损失对每个参数的梯度，各层的误差项只算一次。它只求梯度；更新参数的是梯度下降。", "The chain rule from the loss backwards, each layer's error term computed once, gives the gradient for every parameter. It only finds gradients; gradient descent does the updating."),
        r"\delta^{(l)} = f'\big(\mathbf{z}^{(l)}\big) \odot \big(W^{(l+1)}\big)^{\!\top} \delta^{(l+1)}",
        ("backpropagation", "pooling"),
    ),
    Entry(
        "error_term", "误差项", "error term",
        ("这一层对损失“负多大责任”。", "How much of the loss a layer answers for."),
        ("损失对某层净输入的偏导数 $\\delta$。它不是预测与标签之差；只有某些输出层恰好等于那个差。", "The derivative of the loss with respect to a layer's net input, $\\delta$. Not the difference of prediction and label, which it equals only at certain output layers."),
        r"\delta^{(l)} = \frac{\partial L}{\partial \mathbf{z}^{(l)}}, \qquad \frac{\partial L}{\partial W^{(l)}} = \delta^{(l)}\,\big(\mathbf{a}^{(l-1)}\big)^{\!\top}",
        ("backpropagation",),
    ),
    Entry(
        "loss", "损失", "loss",
        ("现在错得多厉害，越小越好。", "How wrong it is now; lower is better."),
        ("训练所最小化的数：分类用平均交叉熵（10 类瞎猜是 $\\ln 10 \\approx 2.30$），预测数值用均方误差。损失变小，准确率不一定变高。", "The number that training minimises: for classes the mean cross-entropy (guessing among 10 gives $\\ln 10 \\approx 2.30$), for values the mean squared error. A lower loss need not mean a higher accuracy."),
        r"L = -\frac{1}{B}\sum_{n=1}^{B} \ln p_{y_n}",
        ("gradient_descent", "cnn"),
    ),
    Entry(
        "gradient_descent", "梯度下降", "gradient descent",
        ("一步步往下坡走。", "Walk downhill, step by step."),
        ("每步沿损失的负梯度移动参数。梯度只说当前位置最陡的方向；步子太大仍会越走越高，走到的也不一定是最低处。", "Each step moves the parameters along the negative gradient of the loss. That is the steepest way down only right here: too large a step still climbs, and the end need not be the lowest place."),
        r"\theta \leftarrow \theta - \eta\,\nabla_\theta L",
        ("gradient_descent",),
    ),
    Entry(
        "learning_rate", "学习率", "learning rate",
        ("每一步迈多大。", "How large a step is."),
        ("更新中梯度前的系数 $\\eta$。普通梯度下降的步子是它乘梯度；Adam 先把梯度缩放到 1 左右，所以同一个值在两者中并不等效。", "The factor $\\eta$ before the gradient in an update. Plain gradient descent steps by it times the gradient; Adam first scales the gradient to about 1, so the same value means another step."),
        r"\Delta\theta = -\eta\,\nabla_\theta L",
        ("gradient_descent",),
    ),
    Entry(
        "momentum", "动量", "momentum",
        ("像球一样带着惯性往下滚。", "Roll downhill with inertia, like a ball."),
        ("用过去梯度的衰减累积 $v$ 代替当前梯度。梯度方向不变时，步子最终放大到 $1/(1-\\mu)$ 倍：0.9 就是 10 倍。", "A decaying sum $v$ of past gradients replaces the current one. Where the gradient stays the same, steps grow to $1/(1-\\mu)$ times their size: tenfold at 0.9."),
        r"v \leftarrow \mu v + \nabla_\theta L, \qquad \theta \leftarrow \theta - \eta\,v",
        ("gradient_descent",),
    ),
    Entry(
        "weight_decay", "权重衰减", "weight decay",
        ("每步都把权重往 0 拉一点。", "Pull every weight a little towards 0 at each step."),
        ("每次更新时权重先乘 $1-\\eta\\lambda$。对普通 SGD 它等于 L2 惩罚 $\\tfrac{\\lambda}{2}\\|\\mathbf{w}\\|^2$；对 Adam 两者不同，分开做的叫 AdamW。", "At each update the weights are first multiplied by $1-\\eta\\lambda$. For plain SGD that is an L2 penalty $\\tfrac{\\lambda}{2}\\|\\mathbf{w}\\|^2$; for Adam the two differ, and decoupled decay is AdamW."),
        r"\mathbf{w} \leftarrow (1 - \eta\lambda)\,\mathbf{w} - \eta\,\nabla_{\mathbf{w}} L",
        ("gradient_descent",),
    ),
    Entry(
        "mini_batch", "小批量", "mini-batch",
        ("每步只看一小把样本。", "Look at a handful of examples per step."),
        ("一次更新所用的样本，其平均梯度是全部数据梯度的无偏估计，带有噪声。样本数叫批大小；这里每步有放回地抽取。", "The examples of one update: their mean gradient is an unbiased, noisy estimate of that of all data. Their number is the batch size; here they are drawn anew, with replacement, at every step."),
        r"\nabla L \approx \frac{1}{B}\sum_{n=1}^{B} \nabla L_n",
        ("gradient_descent",),
    ),
    Entry(
        "seed", "随机种子", "seed",
        ("同一个种子，同一次运行。", "Same seed, same run."),
        ("随机数生成器的起点，决定初始权重和抽到的批次。每次运行有自己的生成器；设置和种子相同，曲线就逐位相同。", "Where the random generator starts; it fixes initial weights and batches. Every run has a generator of its own: equal settings and seed give a bit-equal curve."),
        "",
        ("gradient_descent",),
    ),
    Entry(
        "divergence", "发散", "divergence",
        ("越学越糟，数字一路冲上天。", "Every step makes it worse, until the numbers run away."),
        ("每步都冲过头，损失不断变大，直到不再是有限的数。在曲率为 $h$ 的抛物线上，梯度下降当 $\\eta > 2/h$ 时发散。损失停住不动不叫发散。", "Every step overshoots and the loss grows until it is no finite number. On a parabola of curvature $h$ gradient descent does so for $\\eta > 2/h$. A loss that merely stays high has not diverged."),
        r"|1 - \eta h| > 1",
        ("gradient_descent",),
    ),
    Entry(
        "training_data", "训练集", "training data",
        ("网络用来学的例子。", "The examples that it learns from."),
        ("参与更新的样本。在它上面的准确率只说明记住了多少，不说明学会了多少。", "The examples that enter the updates. Accuracy on them tells what was fitted, not what was understood."),
        "",
        ("playground",),
    ),
    Entry(
        "held_out_data", "测试集", "held-out data",
        ("考试题：学的时候没见过。", "The exam: examples it never saw while learning."),
        ("从不参与更新的样本，用来估计在新数据上的表现。若与训练集不独立（例如同一人写的数字），估计就偏高。", "Examples that never enter an update, to estimate performance on new data. If they are not independent of the training data (digits by the same writers), the estimate is too high."),
        "",
        ("playground", "pooling", "cnn"),
    ),
    Entry(
        "overfitting", "过拟合", "overfitting",
        ("背下了题目，没学会道理。", "It learned the examples by heart, not the idea."),
        ("训练集上的损失继续下降，测试集上的却上升，或两者相差很大。只看训练曲线看不出来。", "The loss keeps falling on the training data while it rises on held-out data, or stays far above. The training curve alone never shows it."),
        r"L_{\text{test}} \gg L_{\text{train}}",
        ("playground", "pooling"),
    ),
    Entry(
        "accuracy", "准确率", "accuracy",
        ("答对的比例。", "The share of right answers."),
        ("得分最高的类别恰为正确类别的样本比例。它的导数几乎处处是 0，所以训练用损失；类别不均衡时它会骗人。", "The share of examples whose highest score is that of the right class. Its derivative is 0 almost everywhere, so training uses the loss; with unequal classes it misleads."),
        r"\frac{1}{N}\sum_{n=1}^{N} \big[\arg\max_k z_{nk} = y_n\big]",
        ("playground", "pooling"),
    ),
    Entry(
        "softmax", "softmax", "softmax",
        ("把得分变成百分比。", "Turns scores into percentages."),
        ("得分的指数除以它们的总和：都为正，加起来是 1。所有得分同加一个数，结果不变。它是相对的份额，不是可靠的把握。", "Exponentials of the scores over their sum: positive, adding up to 1, unchanged when all scores shift by the same number. A relative share, not a calibrated confidence."),
        r"p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}",
        ("playground", "cnn"),
    ),
    Entry(
        "chain_rule", "链式法则", "chain rule",
        ("一环扣一环：每一环的变化率相乘。", "Link by link: multiply the rates of change."),
        ("复合函数的导数是各层导数的乘积；有几条路可走时，每条路上相乘，再把各条路相加。反向传播就是把它从输出往回算。", "The derivative of a composition is the product of the derivatives of its parts; where several paths lead on, multiply along each and add them up. Backpropagation is this, worked out from the output backwards."),
        r"\frac{\partial E}{\partial w} = \sum_{\text{paths}} \prod_{\text{edges}} \frac{\partial\, \text{target}}{\partial\, \text{source}}",
        ("backpropagation",),
    ),
    Entry(
        "computational_graph", "计算图", "computational graph",
        ("把一个式子拆成一步一步，画成图。", "A formula taken apart into single steps and drawn."),
        ("节点是数，边表示谁由谁算出，没有回路。前向按顺序求值，反向沿同样的边传回梯度；PyTorch 在运行时记下这张图。", "Nodes are numbers, edges say what is computed from what, and there are no cycles. Values go forward in order, gradients back along the same edges; PyTorch records the graph as it runs."),
        "",
        ("backpropagation",),
    ),
    Entry(
        "finite_difference", "有限差分", "finite difference",
        ("挪一点点，看结果变多少。", "Nudge it a little and see how much changes."),
        ("用两个靠得很近的函数值之差来估计导数。中心差分的误差与 $h^2$ 成正比；$h$ 太小，又被舍入误差淹没。它用来检验梯度，不用来训练：每个参数都要多算两次。", "Estimates a derivative from two values close to each other. The error of a central difference is proportional to $h^2$; with $h$ too small it drowns in rounding. Good for checking gradients, not for training: every parameter costs two more evaluations."),
        r"f'(w) \approx \frac{f(w+h) - f(w-h)}{2h}",
        ("backpropagation",),
    ),
    Entry(
        "condition_number", "条件数", "condition number",
        ("山谷有多窄：最陡的方向比最平的方向陡多少。", "How narrow a valley is: how much steeper across than along."),
        ("极小点处最大曲率与最小曲率之比 $\\kappa$。学习率受最陡方向限制，最平方向就要走大约 $\\kappa$ 倍的步数。它描述曲面，不描述方法。", "The ratio $\\kappa$ of the largest to the smallest curvature at a minimum. The steepest direction limits the learning rate, and the flattest then takes about $\\kappa$ times as many steps. It belongs to the surface, not to the method."),
        r"\kappa = \frac{\lambda_{\max}}{\lambda_{\min}}",
        ("gradient_descent",),
    ),
    Entry(
        "multilayer_perceptron", "多层感知机", "multilayer perceptron",
        ("神经元排成几层，一层接一层。", "Neurons in layers, one layer after the other."),
        ("由全连接层和非线性激活函数交替组成的前馈网络。尽管叫这个名字，里面并没有阶跃的感知器；没有非线性，再多层也只等于一层。", "A feed-forward network of fully connected layers with nonlinear activation functions between them. Despite its name there are no step perceptrons inside; without the nonlinearity any number of layers is one."),
        r"\mathbf a^{(l)} = f\big(W^{(l)}\mathbf a^{(l-1)} + \mathbf b^{(l)}\big)",
        ("playground",),
    ),
    Entry(
        "hidden_layer", "隐藏层", "hidden layer",
        ("输入和输出之间、自己找特征的一层。", "A layer between input and output that finds features by itself."),
        ("既不是输入也不是输出的一层神经元。训练数据没有规定它该输出什么；它学到的是让后面的层更容易完成任务的表示。", "A layer of neurons that is neither input nor output. The data do not say what it should put out; it learns a representation that makes the task easier for what follows."),
        "",
        ("playground",),
    ),
    Entry(
        "initialisation", "初始化", "initialisation",
        ("训练从哪里出发。", "Where training starts from."),
        ("训练开始前权重的取法。各不相同才能打破对称；方差按每层的输入个数（He，用于 ReLU）或输入与输出个数（Xavier，用于 tanh）来定，信号才不会逐层放大或缩小。", "How the weights are drawn before training. They must differ, to break the symmetry; their variance follows the number of inputs (He, for ReLU) or of inputs and outputs (Xavier, for tanh), so that signals neither grow nor shrink from layer to layer."),
        r"\operatorname{Var}(w) = \frac{2}{n_{\text{in}}}\ (\text{He}), \qquad \frac{2}{n_{\text{in}}+n_{\text{out}}}\ (\text{Xavier})",
        ("playground",),
    ),
    Entry(
        "dropout", "丢弃法", "dropout",
        ("每一步随机让一些神经元缺席。", "At every step some neurons stay away at random."),
        ("训练时以概率 $p$ 把隐藏神经元的活性值置 0，其余除以 $1-p$；测量时全部都在。网络不能依赖任何一个神经元，过拟合就轻一些。", "While training, each hidden activation is set to 0 with probability $p$ and the others are divided by $1-p$; when measuring all are there. The network cannot rely on any single neuron, which lessens overfitting."),
        r"\tilde a = \frac{m}{1-p}\,a, \qquad m \sim \operatorname{Bernoulli}(1-p)",
        ("playground",),
    ),
    Entry(
        "confusion_matrix", "混淆矩阵", "confusion matrix",
        ("谁被错认成谁。", "Who is taken for whom."),
        ("一张计数表：行是真实的类，列是网络给出的类。对角线上是对的，它们之和除以总数就是准确率；它还说明错在哪里。", "A table of counts: rows are true classes, columns those that the network gives. The diagonal is right, and its sum over the total is the accuracy; the rest shows where the errors are."),
        "",
        ("playground",),
    ),
)  # fmt: skip

CONVOLUTION = (
    Entry(
        "convolution", "卷积", "convolution",
        ("一个小窗口滑过图像，处处做同样的加权求和。", "A small window slides over the picture and takes the same weighted sum everywhere."),
        ("数学上的卷积先把卷积核转 180° 再求加权和。深度学习里叫“卷积”的其实是不翻转的互相关；权重要学，两者能力相同。", "The convolution of mathematics turns the kernel by 180° before the weighted sum. What deep learning calls by that name is the cross-correlation, without the turn; as weights are learned, both can do the same."),
        r"y_{ij} = \sum_{u,v} w_{uv}\, x_{i-u,\,j-v}",
        ("convolution",),
    ),
    Entry(
        "cross_correlation", "互相关", "cross-correlation",
        ("不翻转的卷积：把卷积核直接盖上去。", "Convolution without the turn: lay the kernel on as it is."),
        ("窗口里的像素与同一位置的权重相乘再求和。PyTorch 的 Conv2d 算的就是它。", "Each pixel of the window times the weight at the same place, summed. This is what PyTorch's Conv2d computes."),
        r"y_{ij} = \sum_{u,v} w_{uv}\, x_{i+u,\,j+v}",
        ("convolution",),
    ),
    Entry(
        "kernel", "卷积核", "kernel",
        ("滑动窗口里的那一小块权重。", "The small patch of weights in the sliding window."),
        ("一个输入通道上的 $k\\times k$ 个权重，在所有位置共用。网络里它由训练得来，不是人手设计的。", "The $k\\times k$ weights on one input channel, shared by all places. In a network it is learned, not designed by hand."),
        r"W \in \mathbb{R}^{k \times k}",
        ("convolution",),
    ),
    Entry(
        "filter", "滤波器", "filter",
        ("找某一种图案的探测器。", "A detector of one kind of pattern."),
        ("产生一张特征图的全部权重：每个输入通道一个卷积核，再加一个偏置。只有一个输入通道时，它就是一个卷积核。", "All the weights that make one feature map: a kernel for each input channel, and a bias. With a single input channel it is one kernel."),
        r"W \in \mathbb{R}^{C_{\text{in}} \times k \times k}, \quad b \in \mathbb{R}",
        ("cnn",),
    ),
    Entry(
        "stride", "步长", "stride",
        ("窗口每次走几格。", "How far the window moves at a time."),
        ("相邻两个窗口的距离 $s$（像素）。输出大小 $o$ 由输入 $n$、核 $k$、填充 $p$、膨胀率 $d$ 决定；除不尽时向下取整，末尾的行和列没有窗口读到。", "The distance $s$ of two neighbouring windows, in pixels. Input $n$, kernel $k$, padding $p$ and dilation $d$ then give the output size $o$; where it does not come out even, the floor drops trailing rows and columns, which no window reads."),
        r"o = \left\lfloor\frac{n + 2p - d(k-1) - 1}{s}\right\rfloor + 1",
        ("convolution", "pooling"),
    ),
    Entry(
        "padding", "填充", "padding",
        ("在图像四周补几圈 0。", "Rings of zeros around the picture."),
        ("四周各补 $p$ 圈 0。步长为 1 时：$p=0$ 是窄卷积，$p=(k-1)/2$ 是等宽卷积，$p=k-1$ 是宽卷积。补的 0 不是中性的，边界的输出会受影响。", "$p$ rings of zeros. At stride 1, $p=0$ is the narrow, $p=(k-1)/2$ the equal-width and $p=k-1$ the wide convolution. The zeros are not neutral: they change the output near the border."),
        r"n \;\to\; n + 2p",
        ("convolution",),
    ),
    Entry(
        "dilated_convolution", "空洞卷积", "dilated convolution",
        ("把卷积核撑开，隔着像素看。", "The kernel spread out, reading every other pixel."),
        ("权重之间留出空隙的卷积：$k$ 个权重跨越 $d(k-1)+1$ 个像素。感受野变大，参数不增加；步长为 1 时，跳过的像素由别的窗口读。", "A convolution with gaps between its weights: $k$ of them span $d(k-1)+1$ pixels. A wider receptive field for no more parameters; at stride 1 other windows read the pixels left out."),
        r"y_{ij} = \sum_{u,v} w_{uv}\, x_{i+du,\,j+dv}",
        ("convolution",),
    ),
    Entry(
        "dilation", "膨胀率", "dilation",
        ("相邻两个权重隔几个像素。", "How many pixels lie from one weight to the next."),
        ("空洞卷积中相邻权重的距离 $d$；$d=1$ 没有空隙，是普通卷积。", "The distance $d$ of neighbouring weights in a dilated convolution; $d=1$ leaves no gap: the ordinary one."),
        r"k' = d(k-1) + 1",
        ("convolution",),
    ),
    Entry(
        "channel", "通道", "channel",
        ("同一张图的一层，比如红、绿、蓝。", "One layer of a picture, such as red, green or blue."),
        ("同一位置上的多个数之一：彩色图有 3 个通道，卷积层的每张特征图是一个输出通道。卷积对所有输入通道求和，通道之间没有权重共享。", "One of the numbers at each place: a colour picture has 3 channels, and every feature map of a layer is an output channel. A convolution sums over all input channels, which share no weights."),
        r"\mathbf{X} \in \mathbb{R}^{C \times H \times W}",
        ("cnn",),
    ),
    Entry(
        "feature_map", "特征图", "feature map",
        ("哪里找到了这种图案的一张地图。", "A map of where the pattern was found."),
        ("一个滤波器在所有位置的输出，常指激活函数之后。它仍保留位置：行和列对应图像中的地方。", "The outputs of one filter at all places, usually after the activation function. It still has places: its rows and columns stand for parts of the picture."),
        r"A \in \mathbb{R}^{H' \times W'}",
        ("pooling", "cnn"),
    ),
    Entry(
        "receptive_field", "感受野", "receptive field",
        ("一个神经元能看到的那块图像。", "The part of the picture that a neuron sees."),
        ("能影响某一格的输入像素范围，从 $r=j=1$ 起逐层变大；每个大于 1 的步长都让后面的层长得更快。它是最大范围：中间的像素通常比边上的影响大得多。", "The input pixels that can influence a cell. From $r=j=1$ it grows layer by layer, faster after every stride above 1. An outer bound: pixels in its middle usually matter far more than those at its edge."),
        r"r \leftarrow r + (k-1)\,d\,j, \qquad j \leftarrow j\,s",
        ("convolution", "cnn"),
    ),
    Entry(
        "local_connectivity", "局部连接", "local connectivity",
        ("每个神经元只连一小块。", "Each neuron is wired to a small patch only."),
        ("每个输出只与自己窗口里的输入相连。这本身并不要求权重相同：共享权重是另一条假设。", "Each output is connected to the inputs of its own window only. That alone does not make weights equal: weight sharing is a second assumption."),
        r"y_{ij} = \sum_{0 \le u,v < k} w_{ij,uv}\, x_{i+u,\,j+v}",
        ("convolution",),
    ),
    Entry(
        "weight_sharing", "权重共享", "weight sharing",
        ("处处用同一个探测器。", "The same detector everywhere."),
        ("所有位置用同一个卷积核和同一个偏置，参数个数与图像大小无关。共享的梯度是各位置梯度之和。", "One kernel and one bias for all places, so the number of parameters does not depend on the picture's size. The gradient of a shared weight is the sum over all places."),
        r"\frac{\partial L}{\partial w_{uv}} = \sum_{i,j} \frac{\partial L}{\partial y_{ij}}\, x_{i+u,\,j+v}",
        ("convolution",),
    ),
    Entry(
        "equivariance", "平移等变", "translation equivariance",
        ("图案移到哪里，回应就跟到哪里。", "Where the pattern goes, the response follows."),
        ("先平移再卷积等于先卷积再平移（步长 1、远离边界）。不是不变：输出会变，只是跟着移动。对旋转和缩放并不成立。", "Shifting, then convolving, equals convolving, then shifting (stride 1, away from the borders). Not invariance: the output does change, it moves along. It does not hold for rotation or scale."),
        r"w * (T x) = T (w * x)",
        ("convolution",),
    ),
    Entry(
        "transposed_convolution", "转置卷积", "transposed convolution",
        ("把小图放大的卷积。", "A convolution that makes maps larger."),
        ("卷积写成矩阵 $C$，它乘的是 $C^\\top$：尺寸能回去，数值回不来，不是逆运算，“反卷积”之名会误导。", "Written as a matrix, convolution multiplies by $C$ and this by $C^\\top$: sizes come back, values do not. No inverse, so “deconvolution” misleads."),
        r"n = s(o-1) + d(k-1) + 1 - 2p + p_{\text{out}}",
        ("convolution",),
    ),
    Entry(
        "pooling", "池化", "pooling",
        ("把一小块缩成一个数。", "Shrink a small patch to one number."),
        ("在每个通道各自的窗口里留一个数，通常取最大或平均；教材也称“汇聚”。今天的池化没有可学习的参数（LeNet-5 的有）。", "Keeps one number of each window, channel by channel, usually the largest or the mean. Today's has no learnable parameters (LeNet-5's had)."),
        r"y_{ij} = \operatorname*{pool}_{0 \le u,v < k} x_{si+u,\;sj+v}",
        ("pooling", "cnn"),
    ),
    Entry(
        "max_pooling", "最大池化", "max pooling",
        ("只留下窗口里最强的。", "Keep only the strongest of the window."),
        ("取窗口里的最大值。它是非线性的，没有任何权重；梯度整个给最大的那一格，其余是 0。", "Takes the largest value of the window. Nonlinear, with no weights at all; the whole gradient goes to the largest cell, none to the others."),
        r"y_{ij} = \max_{0 \le u,v < k} x_{si+u,\;sj+v}",
        ("pooling",),
    ),
    Entry(
        "average_pooling", "平均池化", "average pooling",
        ("窗口里大家平均一下。", "Take the mean of the window."),
        ("取窗口里的平均值：等于每个权重固定为 $1/k^2$ 的卷积，是线性的；梯度平分给每一格。", "Takes the mean of the window: a convolution with every weight fixed at $1/k^2$, hence linear; the gradient is split equally."),
        r"y_{ij} = \frac{1}{k^2}\sum_{u,v} x_{si+u,\;sj+v}",
        ("pooling",),
    ),
    Entry(
        "strided_convolution", "步长卷积", "strided convolution",
        ("大步走的卷积，也能缩小。", "A convolution that takes large steps, and so shrinks too."),
        ("步长大于 1 的卷积，可以代替池化：缩小的方式由训练决定，因此有参数，并且会混合通道。", "A convolution with stride above 1, in place of pooling: how it shrinks is learned, so it has parameters, and it mixes channels."),
        r"y_{ij} = \sum_{u,v} w_{uv}\, x_{si+u,\;sj+v} + b",
        ("pooling",),
    ),
    Entry(
        "translation_tolerance", "平移容忍", "translation tolerance",
        ("挪动一两个像素，结果差不多。", "Move it by a pixel or two, and little changes."),
        ("小平移后输出只变一点。池化带来的是这种容忍，不是不变性：移动更大、旋转或缩放都不在内。", "The output changes little under small shifts. Pooling gives this tolerance, not invariance: larger shifts, rotation and scale are not covered."),
        r"\frac{\|y(Tx) - y(x)\|}{\|y(x)\|} \ll 1",
        ("pooling",),
    ),
    Entry(
        "flattening", "展平", "flattening",
        ("把所有特征图排成一长串数。", "Line all maps up as one long row of numbers."),
        ("只改变形状：$C\\times H\\times W$ 个数变成一个向量，一个数也没变，也没有参数。混合信息的是之后的全连接层。", "A change of shape only: the $C\\times H\\times W$ numbers become one vector, none changes, nothing is learned. The mixing is done by the fully connected layer after it."),
        r"\mathbb{R}^{C \times H \times W} \to \mathbb{R}^{CHW}",
        ("cnn",),
    ),
    Entry(
        "fully_connected_layer", "全连接层", "fully connected layer",
        ("人人相连：每个输出看到所有输入。", "Everyone is connected: each output sees all inputs."),
        ("学出来的仿射映射：每个输出是所有输入的加权和加偏置。每个位置有自己的权重，所以没有平移等变。", "A learned affine map: each output is a weighted sum of all inputs plus a bias. Every place has weights of its own, so translation equivariance is gone."),
        r"\mathbf{z} = W\mathbf{a} + \mathbf{b}",
        ("cnn",),
    ),
    Entry(
        "cnn", "卷积神经网络", "convolutional network",
        ("先找小图案，再拼成大图案。", "Find small patterns first, then put them together."),
        ("以卷积层为主的前馈网络，常接池化和全连接层。局部连接和权重共享是对图像的假设；图像不符合时，它没有优势。", "A feedforward network made mostly of convolutional layers, often with pooling and fully connected layers. Local connectivity and weight sharing are assumptions about pictures; where they do not hold, it has no advantage."),
        "",
        ("cnn",),
    ),
)  # fmt: skip

RECURRENT = (
    Entry(
        "recurrent_network", "循环神经网络", "recurrent network",
        ("把上一步的结果也当作输入的网络。", "A network that also reads what it came to a step before."),
        ("隐状态由当前输入和上一步的隐状态算出，每一步用同一组权重的网络。它能用上任意久以前的输入，但不一定学得会；状态只有几个数，不是“什么都记得”。", "A network whose hidden state is computed from the input at hand and from its last hidden state, with the same weights at every step. It can use inputs from any time ago, though it may fail to learn to; and its state is a few numbers, so it does not remember everything."),
        r"\mathbf{h}_t = f(U\mathbf{h}_{t-1} + W\mathbf{x}_t + \mathbf{b})",
        ("rnn",),
    ),
    Entry(
        "time_delay_network", "延时神经网络", "time-delay network",
        ("只看最近几步的网络。", "A network that looks at the last few steps only."),
        ("隐藏层看最近 $p+1$ 步输入、权重随时间共享的网络，也就是时间上的一维卷积。更早的输入对它没有任何影响，训练多久都一样。", "A network whose hidden layer sees the last $p+1$ inputs through weights that are shared over time: a convolution in one dimension. Older inputs have no influence at all, however long it trains."),
        r"\mathbf{h}_t = f\Big(\sum_{k=0}^{p} W_k\,\mathbf{x}_{t-k} + \mathbf{b}\Big)",
        ("rnn",),
    ),
    Entry(
        "hidden_state", "隐状态", "hidden state",
        ("网络此刻“记着”的东西。", "What the network has in mind right now."),
        ("循环网络从一步带到下一步的向量 $\\mathbf{h}_t$。它是过去输入的一个有损摘要：大小固定，每一步都被改写。“隐”是说训练数据里没有它。", "The vector $\\mathbf{h}_t$ that a recurrent network takes from one step to the next: a lossy summary of the past, of fixed size, rewritten at every step. It is called hidden because no data say what it should be."),
        r"\mathbf{h}_0 = \mathbf{0}, \qquad \mathbf{h}_t \in \mathbb{R}^{\text{hidden}}",
        ("rnn", "lstm"),
    ),
    Entry(
        "unrolling", "按时间展开", "unrolling over time",
        ("把循环拉直，每一步画一份。", "Draw the loop as a chain, a copy for each step."),
        ("把循环网络看作有 $T$ 层的前馈网络，每层一步。画出来是许多份，权重只有一份：各步的梯度相加。", "Seeing a recurrent network as a feedforward one of $T$ layers, one for each step. The copies are drawn; the weights are one set, and the gradients of all steps add up."),
        r"\frac{\partial L}{\partial U} = \sum_{t=1}^{T} \boldsymbol\delta_t\,\mathbf{h}_{t-1}^\top",
        ("rnn",),
    ),
    Entry(
        "orthogonal_initialisation", "正交初始化", "orthogonal initialisation",
        ("从一个只旋转、不缩放的矩阵开始。", "Begin with a matrix that turns and does not stretch."),
        ("让循环权重从随机的正交矩阵开始：所有奇异值是 1，乘多少次都不改变向量的长度。它只管开头；激活函数的导数和训练都会改变这一点。", "The recurrent weights begin as a random orthogonal matrix: all singular values are 1, and no number of products changes the length of a vector. That holds at the start; slopes of the activation function and training change it."),
        r"U^\top U = I \;\Rightarrow\; \|U^k\mathbf{h}\| = \|\mathbf{h}\|",
        ("rnn", "gradient_flow"),
    ),
    Entry(
        "autoregressive_forecast", "自回归预测", "autoregressive forecast",
        ("把自己的预测当作真的，再往下猜。", "Take your own forecast for true and go on."),
        ("每一步的预测当作下一步的输入，一步步走到没有数据的地方。误差会一起被喂回去，所以只往前看一步的误差说明不了它。", "Each forecast is the input of the next step, on into where there are no data. Errors are fed back too, so a small error one step ahead promises nothing here."),
        r"\hat{x}_{t+1} = g(\hat{x}_t, \hat{x}_{t-1}, \dots)",
        ("rnn",),
    ),
    Entry(
        "bptt", "随时间反向传播", "backpropagation through time",
        ("把循环网络按时间摊开，再从最后一步往回走。", "Unroll the network over time, then walk back from the last step."),
        ("把循环网络展开成每步共用权重的深层网络，再做反向传播。每往回一步，误差项乘一个雅可比矩阵；同一个 $U$ 的梯度是各步之和。", "Backpropagation through the recurrent network unrolled into a deep one that shares its weights. Each step back multiplies the error term by a Jacobian; the gradient of the one $U$ is the sum over all steps."),
        r"\boldsymbol\delta_{t,k} = \operatorname{diag}\big(f'(\mathbf{z}_k)\big)\,U^\top\boldsymbol\delta_{t,k+1}",
        ("rnn", "gradient_flow"),
    ),
    Entry(
        "long_term_dependency", "长期依赖", "long-term dependency",
        ("现在的答案取决于很久以前的事。", "The answer now hangs on something long ago."),
        ("第 $t$ 步的输出依赖相隔很多步的输入。能否表示它是一回事，梯度下降能否学到它是另一回事：学习要靠传到远处的梯度。", "The output at step $t$ depends on an input many steps away. Being able to represent it is one thing, learning it by gradient descent another: that needs gradient at the distant step."),
        "",
        ("rnn", "gradient_flow"),
    ),
    Entry(
        "vanishing_gradient", "梯度消失", "vanishing gradient",
        ("越往回传，梯度越接近没有。", "The further back it goes, the less gradient is left."),
        ("$\\partial L_t/\\partial\\mathbf{h}_k$ 随 $t-k$ 指数衰减。不需要哪个因子是 0；饱和会让它更小。$\\partial L/\\partial U$ 并不趋于 0：失去的是远处各步的那一份。", "$\\partial L_t/\\partial\\mathbf{h}_k$ decays exponentially with $t-k$. No factor has to be 0; saturation shrinks it further. $\\partial L/\\partial U$ does not go to 0: it loses the share of distant steps."),
        r"\sigma_{\max}(U) < \tfrac{1}{\gamma} \;\Rightarrow\; \Big\|\frac{\partial\mathbf{h}_t}{\partial\mathbf{h}_k}\Big\| \le (\gamma\,\sigma_{\max})^{t-k} \to 0",
        ("gradient_flow",),
    ),
    Entry(
        "exploding_gradient", "梯度爆炸", "exploding gradient",
        ("越往回传，梯度越大，直到数字装不下。", "The further back it goes, the larger it gets, until no number holds it."),
        ("$\\partial L_t/\\partial\\mathbf{h}_k$ 随 $t-k$ 指数增长。最大奇异值大于 $1/\\gamma$ 是必要条件，不是充分条件。超过 $3.4\\cdot 10^{38}$，float32 写成 inf。", "$\\partial L_t/\\partial\\mathbf{h}_k$ grows exponentially with $t-k$. A largest singular value above $1/\\gamma$ is necessary, not sufficient. Past $3.4\\cdot 10^{38}$ float32 writes inf."),
        "",
        ("gradient_flow",),
    ),
    Entry(
        "gradient_clipping", "梯度截断", "gradient clipping",
        ("梯度太长就剪短再走。", "If the gradient is too long, shorten it before the step."),
        ("按范数：超过阈值 $\\theta$ 时整体缩短，方向不变；按值：每个分量各自截到区间里，方向会变。治爆炸，不治消失。", "By norm: a gradient longer than $\\theta$ is scaled down as a whole and keeps its direction. By value: each component is cut on its own, which turns it. It cures explosion, not vanishing."),
        r"\mathbf{g} \leftarrow \min\!\Big(1, \frac{\theta}{\|\mathbf{g}\|}\Big)\,\mathbf{g}",
        ("rnn", "gradient_flow"),
    ),
    Entry(
        "jacobian", "雅可比矩阵", "Jacobian",
        ("输入各动一点，输出各动多少：一张表。", "A table of how much each output moves when each input does."),
        ("一个映射的全部偏导数排成的矩阵。链式法则把它们相乘；次序不能换。", "All partial derivatives of a map in one matrix. The chain rule multiplies them, and their order matters."),
        r"\Big(\frac{\partial\mathbf{h}_t}{\partial\mathbf{h}_{t-1}}\Big)_{ij} = \frac{\partial h_{t,i}}{\partial h_{t-1,j}}",
        ("gradient_flow",),
    ),
    Entry(
        "spectral_radius", "谱半径", "spectral radius",
        ("反复乘一个矩阵，最后每次放大几倍。", "How much a matrix enlarges in the long run, multiplied over and over."),
        ("特征值绝对值的最大者 $\\rho$。$\\rho<1$ 时 $W^t$ 最终趋于 0，但途中可以先变得很大；它不超过最大奇异值。", "The largest absolute value of the eigenvalues, $\\rho$. With $\\rho<1$ the powers $W^t$ vanish in the end but may grow large on the way. It never exceeds the largest singular value."),
        r"\rho(W) = \max_i|\lambda_i| = \lim_{t\to\infty}\|W^t\|^{1/t} \le \sigma_{\max}(W)",
        ("gradient_flow",),
    ),
    Entry(
        "singular_value", "奇异值", "singular value",
        ("矩阵沿某个方向把向量拉长几倍。", "How much a matrix stretches a vector in one direction."),
        ("单位球经矩阵变成椭球，半轴长就是奇异值；最大的是矩阵的 2-范数，单次相乘至多放大这么多。", "A matrix turns the unit ball into an ellipsoid whose half-axes are its singular values. The largest is the matrix 2-norm: one product stretches at most that much."),
        r"\sigma_{\max}(W) = \max_{\|\mathbf{x}\|=1}\|W\mathbf{x}\|",
        ("gradient_flow",),
    ),
    Entry(
        "gating", "门控", "gating",
        ("阀门：开多大，由网络自己决定。", "Valves, and the network decides how far each is open."),
        ("用一个 0 到 1 之间的数逐个分量地乘以信号。它由输入和隐状态算出，每一步都不同；学到的是怎样算它，而不是它本身。", "Multiplying a signal, component by component, by numbers between 0 and 1 that are computed from the input and the hidden state, anew at each step. What is learned is how to compute them, not the numbers."),
        r"\mathbf{g} = \sigma(W\mathbf{x} + U\mathbf{h}_{-} + \mathbf{b}), \qquad \mathbf{g} \odot \mathbf{s}",
        ("lstm",),
    ),
    Entry(
        "lstm", "长短期记忆网络", "long short-term memory",
        ("带一本备忘录的循环网络：可以写，可以擦，可以只记不说。", "A recurrent network with a notebook: it writes, wipes, and need not say what it has noted."),
        ("有单元状态的循环网络，三个门决定写入、保留和给出多少。“长短期”指的是能保持较久的短期记忆，而不是有长短两种记忆。", "A recurrent network with a cell state; three gates decide how much is written, kept and shown. The name means a short-term memory that lasts long, not one memory of each kind."),
        r"\mathbf{c} = \mathbf{f} \odot \mathbf{c}_{-} + \mathbf{i} \odot \tilde{\mathbf{c}}, \qquad \mathbf{h} = \mathbf{o} \odot \tanh \mathbf{c}",
        ("lstm",),
    ),
    Entry(
        "cell_state", "单元状态", "cell state",
        ("备忘录上现在写着的东西。", "What the notebook says now."),
        ("LSTM 内部的状态 $\\mathbf{c}$。它只被遗忘门乘、被新内容加，所以误差沿它往回传时每步只乘一个 $\\mathbf{f}$（不计经过门的路）。外面看到的是隐状态，不是它。", "The inner state $\\mathbf{c}$ of an LSTM. It is only multiplied by the forget gate and added to, so on its way back along it an error is multiplied by $\\mathbf{f}$ alone at each step (paths through the gates aside). The outside sees the hidden state instead."),
        r"\frac{\partial \mathbf{c}_t}{\partial \mathbf{c}_{t-1}} = \operatorname{diag}(\mathbf{f}_t) + \cdots",
        ("lstm", "gradient_flow"),
    ),
    Entry(
        "forget_gate", "遗忘门", "forget gate",
        ("旧的还留多少。", "How much of the old stays."),
        ("乘在旧单元状态上的门。名字容易误会：1 是全部保留，0 才是忘掉。1997 年最初的 LSTM 没有它，相当于一直是 1。", "The gate on the old cell state. The name misleads: 1 keeps everything, 0 forgets. The first LSTM of 1997 had none, as if it were always 1."),
        r"\mathbf{f} = \sigma(W_f\mathbf{x} + U_f\mathbf{h}_{-} + \mathbf{b}_f)",
        ("lstm",),
    ),
    Entry(
        "input_gate", "输入门", "input gate",
        ("新的要记下多少。", "How much of the new is written down."),
        ("乘在候选状态上的门。它管的是写入单元状态，不是让不让输入进网络：输入总能影响三个门。", "The gate on the candidate. It guards what is written into the cell state, not the input itself, which always reaches the gates."),
        r"\mathbf{i} = \sigma(W_i\mathbf{x} + U_i\mathbf{h}_{-} + \mathbf{b}_i)",
        ("lstm",),
    ),
    Entry(
        "output_gate", "输出门", "output gate",
        ("记着的现在说出多少。", "How much of what is remembered is said now."),
        ("乘在 $\\tanh\\mathbf{c}$ 上的门。关上它，隐状态是 0，记忆仍在单元状态里。", "The gate on $\\tanh\\mathbf{c}$. Shut, the hidden state is 0, and the memory is still there in the cell state."),
        r"\mathbf{o} = \sigma(W_o\mathbf{x} + U_o\mathbf{h}_{-} + \mathbf{b}_o)",
        ("lstm",),
    ),
    Entry(
        "candidate_state", "候选状态", "candidate state",
        ("打算写进去的新内容。", "What might be written next."),
        ("由输入和旧隐状态算出的新内容，经 tanh 落在 −1 到 1 之间；写进多少由门决定。", "New content computed from the input and the old hidden state, within −1 and 1 by tanh. How much of it is written is up to a gate."),
        r"\tilde{\mathbf{c}} = \tanh(W_c\mathbf{x} + U_c\mathbf{h}_{-} + \mathbf{b}_c)",
        ("lstm",),
    ),
    Entry(
        "forget_bias", "遗忘门偏置", "forget bias",
        ("先假定什么都值得记住。", "Assume at first that everything is worth keeping."),
        ("遗忘门偏置的初值。取 1 到 2 或更大，训练开始时门就几乎全开，误差能传回很远；取 0 时每步约减半。", "What the forget gate's bias begins with. With 1 to 2 or more the gate is nearly open when training starts, and errors reach far back; with 0 about half is lost at each step."),
        r"\sigma(0) = 0.5, \quad \sigma(1) \approx 0.73, \quad \sigma(4) \approx 0.98",
        ("lstm", "gradient_flow"),
    ),
    Entry(
        "peephole", "窥视孔连接", "peephole connection",
        ("让门也看一眼备忘录。", "Let the gates look at the notebook too."),
        ("单元状态到门的对角连接：每个单元的门只看自己的单元状态。输入门和遗忘门看旧的，输出门看新的。", "Diagonal weights from the cell state to the gates: the gates of a unit see that unit's state alone. Input and forget gate see the old one, the output gate the new one."),
        r"\mathbf{o} = \sigma(W_o\mathbf{x} + U_o\mathbf{h}_{-} + \mathbf{p}_o \odot \mathbf{c} + \mathbf{b}_o)",
        ("lstm",),
    ),
    Entry(
        "coupled_gates", "门的耦合", "coupled gates",
        ("写多少，就擦多少。", "Wipe as much as is written."),
        ("遗忘门不另学，取 $1-\\mathbf{i}$：新旧按比例混合，参数少四分之一。GRU 的更新门就是这样用的。", "The forget gate is not learned by itself but is $1-\\mathbf{i}$: old and new are blended, with a quarter fewer parameters. The update gate of a GRU does just this."),
        r"\mathbf{c} = (1 - \mathbf{i}) \odot \mathbf{c}_{-} + \mathbf{i} \odot \tilde{\mathbf{c}}",
        ("lstm",),
    ),
)  # fmt: skip

ATTENTION = (
    Entry(
        "self_attention", "自注意力", "self-attention",
        ("一句话里的词互相打量。", "The words of a sentence look at one another."),
        ("查询、键和值都来自同一个序列；“自”是“同一序列”，不是“自主”。学的是投影矩阵，权重对每个输入当场算出。", "Queries, keys and values all come from one sequence: “self” means that same sequence. The projections are learned; the weights are computed anew for every input."),
        r"\operatorname{softmax}\!\big(XW_Q (XW_K)^\top / \sqrt{d}\big)\, XW_V",
        ("self_attention",),
    ),
    Entry(
        "multi_head_attention", "多头注意力", "multi-head attention",
        ("几双眼睛，各看各的。", "Several pairs of eyes, each looking for something else."),
        ("几组投影同时各做一次注意力，结果并排拼起来，再乘 $W_O$。总宽度不变时，头多头少参数一样多，都是 $4D^2+4D$。", "Several projections attend at once; their outputs are put side by side and multiplied by $W_O$. With the same total width the number of heads does not change the number of parameters, $4D^2+4D$."),
        r"[\,Z_1 \dots Z_K\,]\,W_O",
        ("self_attention",),
    ),
    Entry(
        "positional_encoding", "位置编码", "positional encoding",
        ("给每个座位贴上号码。", "A number on every seat."),
        ("加到每个位置的输入上、只与位置有关的向量：学出来的，或不同波长的正弦和余弦。没有它，自注意力分不出顺序。", "A vector added to the input of each position that depends on the position alone: learned, or sines and cosines of several wavelengths. Without it self-attention knows no order."),
        r"p_{t,2i} = \sin\big(t / 10000^{2i/D}\big), \quad p_{t,2i+1} = \cos\big(t / 10000^{2i/D}\big)",
        ("self_attention",),
    ),
    Entry(
        "causal_mask", "因果掩码", "causal mask",
        ("不许偷看后面。", "No peeking ahead."),
        ("softmax 之前挡住后面的位置，于是每个位置只注意自己和前面的；语言模型这样训练。", "Later positions are barred before the softmax, so that each attends to itself and earlier ones only; language models are trained like this."),
        r"a_{t,s} = 0 \quad (s > t)",
        ("self_attention",),
    ),
    Entry(
        "permutation_equivariance", "置换等变", "permutation equivariance",
        ("输入怎么打乱，输出就怎么打乱。", "Shuffle what goes in, and what comes out is shuffled alike."),
        ("对任何置换 $P$，有 $f(PX)=P f(X)$。与“不变”不同：输出并非不动，而是跟着输入走。", "For every permutation $P$, $f(PX)=P f(X)$. Not invariance: the output does not stay, it moves with the input."),
        r"f(PX) = P\,f(X)",
        ("self_attention",),
    ),
    Entry(
        "transformer", "变换器", "transformer",
        ("一层层的注意力，每层把找到的加到原来的上面。", "Layers of attention, each adding what it finds to what was there."),
        ("层叠的网络：每层先是多头自注意力，再是对每个位置相同的全连接层，两者都加到输入上（残差连接）并配层归一化。", "Stacked layers: multi-head self-attention, then fully connected layers that are the same at every position, both added to what came in (residual connections), with layer normalisation."),
        r"X \leftarrow X + \operatorname{attention}(\operatorname{norm} X), \quad X \leftarrow X + \operatorname{MLP}(\operatorname{norm} X)",
        ("self_attention",),
    ),
)  # fmt: skip

BY_GROUP = {
    "foundations": FOUNDATIONS,
    "convolution": CONVOLUTION,
    "recurrent": RECURRENT,
    "attention": ATTENTION,
}  # the groups of the registry
ENTRIES = tuple(entry for entries in BY_GROUP.values() for entry in entries)
BY_NAME = {entry.name: entry for entry in ENTRIES}


def of_lesson(stem: str) -> list[Entry]:
    """The terms that a lesson shows, in the order of the table."""
    return [entry for entry in ENTRIES if stem in entry.lessons]
