"""The inner loop that finds words in single characters, compiled."""

import numpy as np
import numpy.typing as npt

from shards.compiled import compiled

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
States = npt.NDArray[np.int16]


@compiled
def likeliest_states(
    characters: Integers,
    runs: Integers,
    starts: Doubles,
    steps: Doubles,
    after: Integers,
    ends: Integers,
    opening: Integers,
    to_opening: Doubles,
    emissions: Doubles,
    allowed: Bools,
) -> States:
    """The states of the likeliest way through each run of characters: `int16 [characters]`; of equal ones the later.

    Run `n` is `characters[runs[n]:runs[n + 1]]`, none empty. `starts` is `[states]`, `emissions` and `allowed` are
    `[kinds of characters, states]`. The steps that lead on inside of a word from a state have their logarithms in
    `steps[ends[state]:ends[state + 1]]` and the states after it in `after`. Those that lead from one word to the next
    are many: `to_opening[state]` has them to each of the states `opening`, -inf for none. No state is reached in both
    ways. A character that none of its own states can stand at takes any that may follow.
    """
    num_states, num_opening = len(starts), len(opening)
    leads_to_words = np.array([to_opening[state].max() > -np.inf for state in range(num_states)])
    came_from = np.zeros((len(characters), num_states), np.int16)
    values, best = np.empty(num_states), np.empty(num_states)
    reached, expected = np.empty(num_states, np.bool_), np.empty(num_states, np.bool_)
    emitted, opened, opened_by = np.empty(num_opening), np.empty(num_opening), np.empty(num_opening, np.int64)
    way = np.zeros(len(characters), np.int16)
    for run in range(len(runs) - 1):
        first, end = runs[run], runs[run + 1]
        for state in range(num_states):
            reached[state] = allowed[characters[first], state]
            values[state] = starts[state] + emissions[characters[first], state]
        for place in range(first + 1, end):
            kind = characters[place]
            expected[:] = False
            best[:] = -np.inf
            opened[:] = -np.inf
            emitted[:] = emissions[kind][opening]
            for state in range(num_states):
                if not reached[state]:
                    continue
                value_here = values[state]
                from_here = to_opening[state]
                for number in range(num_opening if leads_to_words[state] else 0):
                    value = value_here + from_here[number] + emitted[number]
                    is_best = value >= opened[number]
                    opened[number] = value if is_best else opened[number]
                    opened_by[number] = state if is_best else opened_by[number]
                for edge in range(ends[state], ends[state + 1]):
                    following = after[edge]
                    value = value_here + steps[edge] + emissions[kind, following]
                    expected[following] = True
                    if value >= best[following]:
                        best[following] = value
                        came_from[place, following] = state
            _begin_words(opening, opened, opened_by, expected, best, came_from[place])
            values[:] = best
            _keep_own(reached, expected, allowed[kind])
        _walk_back(way, came_from, first, end, _likeliest(reached, values))
    return way


@compiled
def _begin_words(
    opening: Integers, opened: Doubles, opened_by: Integers, expected: Bools, best: Doubles, came_from: States
) -> None:
    """Put the best steps to the states that words begin with beside those inside of words."""
    for number in range(len(opening)):
        if opened[number] > -np.inf:
            following = opening[number]
            expected[following] = True
            best[following] = opened[number]
            came_from[following] = opened_by[number]


@compiled
def _keep_own(reached: Bools, expected: Bools, own: Bools) -> None:
    """Reached are those expected states that the character can stand at; all of them where it can at none."""
    is_any_own = False
    for state in range(len(expected)):
        is_any_own |= expected[state] and own[state]
    for state in range(len(expected)):
        reached[state] = expected[state] and (own[state] or not is_any_own)


@compiled
def _likeliest(reached: Bools, values: Doubles) -> int:
    last = -1
    for state in range(len(values)):
        if reached[state] and (last < 0 or values[state] >= values[last]):
            last = state
    return last


@compiled
def _walk_back(way: States, came_from: States, first: int, end: int, last: int) -> None:
    for place in range(end - 1, first - 1, -1):
        way[place] = last
        last = came_from[place, last]
