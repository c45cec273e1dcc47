"""The stage between noise and clean latents: Wan's transformer under a sampler."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

import torch
from torch import Tensor, nn

from engine.errors import EffectError
from engine.models.guidance import guided
from engine.models.noise import noise_of_steps
from engine.models.pace import pace
from engine.models.samplers import State, sample
from engine.models.schedules import Step
from engine.models.wan.ask import Ask, Conditions, Prompts
from engine.models.wan.conditioning import window_condition
from engine.models.wan.experts import FIRST, SECOND
from engine.models.wan.rope import Riflex
from engine.models.wan.teacache import TeaState
from engine.models.wan.transformer import Condition, Transformer
from engine.models.windows import Window, Windows, over_windows, prompt_of
from engine.progress import Report

Role: TypeAlias = int  # a positive prompt by its number
NEGATIVE: Role = -1
TeaKey: TypeAlias = tuple[tuple[Role, ...], Window]

STAGE = "denoise"


@dataclass(frozen=True)
class Ready:
    """A transformer where it computes. `blocks`: what gives its blocks one by one, if not itself.

    `set_step`: told the number of each step before it; LoRAs may have other strengths then.
    """

    model: Transformer
    blocks: Iterable[nn.Module] | None = None
    set_step: Callable[[int], None] | None = None


Give: TypeAlias = Callable[[str], AbstractContextManager[Ready]]  # FIRST or SECOND


@dataclass(frozen=True)
class Kept:
    """A run between two steps: where its solver is, and what its cache of steps knows."""

    state: State
    tea: Mapping[TeaKey, TeaState]

    def tensors(self) -> dict[str, Tensor]:
        """Plain tensors to save."""
        saved = {f"state.{name}": tensor for name, tensor in self.state.tensors().items()}
        notes = []
        for number, (key, tea) in enumerate(self.tea.items()):
            notes.append([key, tea.accumulated, tea.delta, tea.skipped])
            for name, tensor in (("previous", tea.previous), ("residual", tea.residual)):
                if tensor is not None:
                    saved[f"tea.{number}.{name}"] = tensor
        text = json.dumps(notes).encode()
        return {**saved, "tea": torch.frombuffer(bytearray(text), dtype=torch.uint8)}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Kept":
        """What `tensors` were saved from. Raises KeyError and ValueError for other tensors."""
        start = "state."
        state = State.of(
            {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
        )
        tea = {}
        for number, note in enumerate(json.loads(bytes(tensors["tea"].tolist()))):
            (roles, window), total, delta, skipped = note
            tea[tuple(roles), tuple(window)] = TeaState(
                tensors.get(f"tea.{number}.previous"),
                total,
                delta,
                tensors.get(f"tea.{number}.residual"),
                skipped,
            )
        return cls(state, tea)

    def to(self, device: torch.device) -> "Kept":
        """The same with its tensors on a device."""
        state = State(
            self.state.latents.to(device),
            self.state.done,
            tuple(part.to(device) for part in self.state.history),
        )
        tea = {
            key: TeaState(
                None if one.previous is None else one.previous.to(device),
                one.accumulated,
                one.delta,
                None if one.residual is None else one.residual.to(device),
                one.skipped,
            )
            for key, one in self.tea.items()
        }
        return Kept(state, tea)


def denoised(
    give: Give,
    ask: Ask,
    prompts: Prompts,
    made: Conditions,
    begin: Tensor | Kept,
    report: Report,
    after: Callable[[Kept], None],
    *,
    keeps_keys: bool = False,
) -> Tensor:
    """Latents (1, C, T, h, w), float32, where the model is; `after` hears of each step.

    `give`: of two experts one is asked for at a time, after the other was given back. `report` is
    told after every block, and so is where a run is cancelled. Raises EffectError where a step
    gives numbers that are not finite, so that nobody waits for a black film.
    """
    begun = begin if isinstance(begin, Kept) else Kept(State(begin), {})
    with ExitStack() as held:
        turns = _Turns(give, held, ask.is_second, begun.state.done)
        kept = begun.to(turns.ready.model.patch_embedding.weight.device)
        run = _Run(turns, ask, prompts, made, kept, report, keeps_keys)

        def finished(state: State) -> None:
            if not bool(state.latents.isfinite().all()):
                raise EffectError(
                    f"Step {state.done} of {len(ask.schedule)} gave numbers out of range.",
                    "Choose precision bf16 and attention sdpa, or other weights or LoRAs.",
                )
            run.finish(state.done)
            if not turns.covers(state.done):
                run.forget()
            after(Kept(state, dict(run.tea)))

        velocity = over_windows(run.velocity, _windows(ask, run.length))
        fresh = noise_of_steps(ask.seed, kept.state.latents)
        return sample(ask.sampler, velocity, kept.state, ask.schedule, fresh, finished)


def _windows(ask: Ask, length: int) -> Windows:
    return ask.windows or Windows(size=length, overlap=0)


class _Turns:
    """The transformer whose turn it is. `done`: steps of the run that are made already."""

    def __init__(self, give: Give, held: ExitStack, is_second: Sequence[bool], done: int) -> None:
        self._give, self._held = give, held
        self._parts = [SECOND if second else FIRST for second in is_second] or [FIRST]
        self.part = self._of(done)
        self.ready = held.enter_context(give(self.part))

    def covers(self, step: int) -> bool:
        """Whether it is this one's turn in a step."""
        return self._of(step) == self.part

    def go_to(self, step: int) -> None:
        """Gives this one back, and only then asks for that of a step."""
        del self.ready
        self._held.close()
        self.part = self._of(step)
        self.ready = self._held.enter_context(self._give(self.part))

    def _of(self, step: int) -> str:
        return self._parts[min(step, len(self._parts) - 1)]


class _Run:
    """The velocity of a run, and what is remembered from call to call."""

    def __init__(
        self,
        turns: _Turns,
        ask: Ask,
        prompts: Prompts,
        made: Conditions,
        kept: Kept,
        report: Report,
        keeps_keys: bool,
    ) -> None:
        self._turns = turns
        self._ask = ask
        self._guidance = ask.guided
        self._prompts = prompts
        self._made = made
        self._report = report
        self._keeps_keys = keeps_keys
        self._conditions: dict[tuple[Role, ...], Condition] = {}
        self.length = kept.state.latents.shape[2]
        self.tea = dict(kept.tea)
        device = kept.state.latents.device
        self._given = None if made.given is None else made.given.to(device)
        self._ends = self._counted()
        self._done = 0
        self._keep_pace = pace(device)
        self.finish(kept.state.done)

    def finish(self, steps: int) -> None:
        """So many steps are done, whatever the blocks that were left out."""
        self._done = self._ends[steps]
        self._report.step(STAGE, self._done, self._ends[-1])

    def forget(self) -> None:
        """What this expert has made is nothing to the next one, which needs the room."""
        self._conditions.clear()
        self.tea.clear()

    def velocity(self, x: Tensor, step: Step, window: Window) -> Tensor:
        """Of one window, under guidance. x: (1, C, n, h, w)."""
        if not self._turns.covers(step.index):
            self._turns.go_to(step.index)
        ready = self._turns.ready
        if ready.set_step is not None:
            ready.set_step(step.index)
        given = None if self._given is None else window_condition(self._given, window)
        enhance = self._ask.enhance

        def predict(latents: Tensor, step: Step, roles: tuple[Role, ...]) -> Tensor:
            key = roles, window
            found, tea = ready.model.cached(
                latents,
                torch.tensor([step.timestep]),
                self._condition(roles),
                self._ask.cache,
                self.tea.get(key, TeaState()),
                step.index,
                given=given,
                enhance=None if enhance is None else enhance.at(step.index, step.count),
                blocks=ready.blocks,
                riflex=Riflex(self._ask.riflex, len(window)) if self._ask.riflex else None,
                on_block=self._on_block,
            )
            if self._ask.cache is not None:
                self.tea[key] = tea
            return found

        number = prompt_of(window, self.length, len(self._prompts.positive))
        return guided(predict, number, NEGATIVE, self._guidance)(x, step)

    def _condition(self, roles: tuple[Role, ...]) -> Condition:
        """What the blocks attend to, for a batch of prompts."""
        if roles not in self._conditions:
            texts = [self._text(role) for role in roles]
            self._conditions[roles] = self._turns.ready.model.condition(
                texts, self._made.tokens, self._keeps_keys
            )
        return self._conditions[roles]

    def _text(self, role: Role) -> Tensor:
        if role != NEGATIVE:
            return self._prompts.positive[role]
        assert self._prompts.negative is not None, "no negative prompt is encoded"
        return self._prompts.negative

    def _on_block(self) -> None:
        self._keep_pace()
        self._done += 1
        self._report.step(STAGE, min(self._done, self._ends[-1]), self._ends[-1])

    def _counted(self) -> list[int]:
        """Blocks that have run when each step begins, and in all."""
        guidance, blocks = self._guidance, self._turns.ready.model.config.layers
        windows = _windows(self._ask, self.length)

        def blocks_of(step: int) -> int:
            if step < guidance.zero_steps:
                return 0
            passes = 2 if guidance.at(step) != 1 and not guidance.batched else 1
            return blocks * passes * len(windows.at(step, self.length))

        return [0, *accumulate(blocks_of(i) for i in range(len(self._ask.schedule)))]
