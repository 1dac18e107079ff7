"""What is said of rows and what is true of them, in the same terms, whoever says it: one network, several, or a rule.

    task         answers [N, …] float64                    truth
    regression   the values, in their own units  [N, T]    the same [N, T]
    binary       a probability for each class    [N, 2]    the class [N] int64
    multiclass   the same                        [N, C]    the same
    multilabel   each target's, to be true       [N, T]    0 or 1 [N, T] int64

The answers of several networks may be averaged; their logits may not.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from learning.targets import Target


def answers_of(target: Target, outputs: Tensor) -> Tensor:
    """Of a network's outputs [N, width]."""
    return target.numbers(outputs) if target.task == "regression" else target.probabilities(outputs)


def truth_of(target: Target, encoded: Tensor) -> Tensor:
    """Of encoded targets, as the loss compares with them."""
    match target.task:
        case "regression":
            scale, shift = (encoded.new_tensor(each, dtype=torch.float64) for each in (target.scale, target.shift))
            return encoded.double() * scale + shift
        case "binary":
            return encoded[:, 0].long()
        case _:
            return encoded.long()


def chosen(target: Target, answers: Tensor) -> Tensor:
    """The likeliest class [N], the first where several are; or of labels [N, T], 1 for each likelier true than not."""
    return (answers > 0.5).long() if target.task == "multilabel" else answers.argmax(1)


def questions(target: Target, answers: Tensor, truth: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Each question of yes or no: its column, the probabilities of yes [N], and whether it is so [N] bool.

    Of two classes whether it is the second; of more, of each class whether it is that one; of labels each its own.
    """
    for column in range(1 if target.task == "binary" else 0, answers.shape[1]):
        yes = truth[:, column] == 1 if target.task == "multilabel" else truth == column
        yield column, answers[:, column], yes
