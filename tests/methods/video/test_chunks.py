"""Clips in windows: what is known stays, content carries on, and a broken run goes on as it was."""

import pytest
import torch

from internal_methods.methods.video import in_chunks
from internal_methods.storage.checkpoints import Checkpoints

SIZE = (6, 8)


def stream(count: int, holes=None, seed: int = 0):
    """Frames of noise, and masks with a hole of 3 x 4 pixels in the frames `holes`."""
    generator = torch.Generator().manual_seed(seed)
    pairs = []
    for number in range(count):
        mask = torch.zeros(1, *SIZE)
        if holes is None or number in holes:
            mask[:, 1:4, 2:6] = 1
        pairs.append((torch.rand(3, *SIZE, generator=generator), mask))
    return pairs


class Steady:
    """Fills each hole with a number that it draws once and then takes from what is known before.

    Like a method that carries content along: in a window without known frames it begins anew.
    """

    def __init__(self):
        self.windows = []

    def __call__(self, clip, mask, carried):
        self.windows.append((clip.clone(), mask.clone(), carried))
        count = 0 if carried is None else int(carried["count"])
        known = (mask[:, :, 0] == 0).all()
        value = clip[0, 0, 0, 2, 3] if known and count else torch.tensor(10.0 + count)
        filled = torch.where(mask > 0, value, clip + 1)  # + 1: what is known must not be taken
        return filled, {"count": torch.tensor(count + 1)}


def run(pairs, process, **settings):
    return list(in_chunks(iter(pairs), process, **{"scenes": (), **settings}))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 30])
@pytest.mark.parametrize(
    ("length", "overlap", "fade"), [(8, 3, 0), (8, 3, 2), (2, 1, 1), (5, 0, 0)]
)
def test_every_frame_comes_back_once_and_only_holes_change(count, length, overlap, fade):
    pairs = stream(count)
    process = Steady()
    frames = run(pairs, process, length=length, overlap=overlap, fade=fade)
    assert len(frames) == count
    for frame, (given, mask) in zip(frames, pairs, strict=True):
        hole = mask.expand_as(frame) > 0
        assert torch.equal(frame[~hole], given[~hole])
        assert (frame[hole] >= 10).all()
    assert all(clip.shape[2] <= length for clip, _, _ in process.windows)


def test_what_was_filled_is_known_in_the_next_window():
    pairs, process = stream(20), Steady()
    frames = run(pairs, process, length=8, overlap=3)
    for frame in frames:
        assert (frame[:, 1:4, 2:6] == 10).all()  # drawn once
    clip, mask, carried = process.windows[1]
    assert torch.equal(clip[0, :, :3], torch.stack(frames[5:8], 1))
    assert not mask[0, :, :3].any() and mask[0, :, 3:].any()
    assert carried["count"] == 1 and process.windows[0][2] is None


def test_frames_without_holes_are_not_worked_on_except_next_to_one():
    pairs, process = stream(40, holes=range(17, 20)), Steady()
    frames = run(pairs, process, length=12, overlap=4)
    assert all(frames[n] is pairs[n][0] for n in (*range(17), *range(24, 40)))
    [(clip, mask, _)] = process.windows
    assert torch.equal(clip[0, :, :4], torch.stack([frame for frame, _ in pairs[13:17]], 1))
    assert clip.shape[2] == 11 and torch.equal(clip[0, :, 7:], torch.stack(frames[20:24], 1))
    assert mask.any(-1).any(-1)[0, 0].tolist() == [False] * 4 + [True] * 3 + [False] * 4


def test_a_clip_without_holes_needs_no_process():
    pairs = stream(9, holes=())
    assert run(pairs, None) == [frame for frame, _ in pairs]


def test_a_scene_ends_a_window_and_what_is_carried():
    pairs, process = stream(20), Steady()
    run(pairs, process, length=8, overlap=3, scenes=(5, 12))
    assert [clip.shape[2] for clip, _, _ in process.windows] == [5, 7, 8]
    assert [carried for _, _, carried in process.windows] == [None] * 3
    assert all(mask.any(-1).any(-1).all() for _, mask, _ in process.windows)


def scene(*seeds: int):
    """Frames of one picture, a little different each time."""
    [(picture, _)] = stream(1, seed=seeds[0])
    return [(picture + 0.02 * frame, mask) for frame, mask in stream(6, seed=seeds[1])]


def test_scenes_are_found_where_none_are_given():
    process = Steady()
    scenes = [scene(1, 5), scene(2, 6)]
    run(scenes[0] + scenes[1], process, scenes=None)
    assert [clip.shape[2] for clip, _, _ in process.windows] == [6, 6]


def test_a_flash_ends_no_window():
    process, frames = Steady(), scene(1, 5)
    frames[3] = (frames[3][0] * 0.2 + 0.8, frames[3][1])
    assert len(run(frames, process, scenes=None)) == 6
    assert [clip.shape[2] for clip, _, _ in process.windows] == [6]


def test_two_fills_of_the_same_frames_pass_into_each_other():
    values = iter((0.0, 1.0))

    def process(clip, mask, carried):
        return torch.where(mask > 0, next(values), clip), None

    frames = run(stream(7), process, length=5, overlap=3, fade=3)
    shown = [float(frame[0, 2, 3]) for frame in frames]
    assert shown == [0, 0, 0.25, 0.5, 0.75, 1, 1]


def test_soft_masks_keep_what_the_process_mixed():
    [(frame, mask)] = stream(1)
    mask[0, 0, 0] = 0.25
    [filled] = run([(frame, mask)], lambda clip, mask, _: (torch.lerp(clip, mask * 9, mask), None))
    assert torch.equal(filled[:, 0, 0], torch.lerp(frame[:, 0, 0], torch.tensor(2.25), 0.25))
    assert torch.equal(filled[:, 5], frame[:, 5])


@pytest.mark.parametrize("values", [(0.3, 1, 0), (1, 0.3, 0), (1, 0.3, 1), (1, 0.3, 0.3)])
def test_a_frame_whose_mask_is_nowhere_above_a_half_comes_back_wherever_it_stands(values):
    pairs = [(frame, mask * value) for (frame, mask), value in zip(stream(3), values, strict=True)]
    frames = run(pairs, lambda clip, mask, _: (torch.lerp(clip, mask * 9, mask), None))
    for frame, (given, mask) in zip(frames, pairs, strict=True):
        assert torch.equal(frame, given) == (not (mask > 0.5).any())


def test_it_works_on_what_it_is_given_as_it_comes():
    taken, pairs = [], stream(50)

    def frames():
        for number, pair in enumerate(pairs):
            taken.append(number)
            yield pair

    results = in_chunks(frames(), Steady(), length=6, overlap=2, scenes=())
    next(results)
    assert len(taken) == 6
    for _ in range(20):
        next(results)
    assert len(taken) <= 26


def test_numbers_and_sizes_that_do_not_fit_are_refused():
    for wrong in ({"overlap": 8, "length": 8}, {"fade": 3, "overlap": 2}, {"fade": -1}):
        with pytest.raises(ValueError, match="do not fit"):
            in_chunks([], Steady(), **wrong)
    other = (torch.zeros(3, 5, 8), torch.ones(1, 5, 8))
    with pytest.raises(ValueError, match="frame 2 is"):
        run([*stream(2), other], Steady())
    with pytest.raises(ValueError, match="its mask"):
        run([(torch.zeros(3, 5, 8), torch.ones(5, 8))], Steady())


class Killed(BaseException):
    pass


def learner(clip, mask, carried):
    """A fill that depends on everything that it is given."""
    total = clip.mean((-1, -2), keepdim=True) + (0 if carried is None else carried["sum"])
    return torch.where(mask > 0, total, clip), {"sum": total.mean() * 1.7}


@pytest.mark.parametrize("fade", [0, 2])
@pytest.mark.parametrize("at", [1, 3])
def test_a_run_that_was_killed_goes_on_and_gives_the_same_bits(tmp_path, fade, at):
    pairs, shelf, calls = stream(30), Checkpoints(tmp_path), []

    def counted(clip, mask, carried):
        calls.append(1)
        if len(calls) == at + 1:
            raise Killed
        return learner(clip, mask, carried)

    settings = {"length": 7, "overlap": 3, "fade": fade}
    wanted = run(pairs, learner, **settings)
    with pytest.raises(Killed), shelf.of({}, settings) as checkpoint:
        run(pairs, counted, store=checkpoint.pieces(), **settings)
    assert len(list(tmp_path.glob("*.safetensors"))) == at
    before = len(calls)
    with shelf.of({}, settings) as checkpoint:
        frames = run(pairs, counted, store=checkpoint.pieces(), **settings)
        assert len(calls) - before == len(list(tmp_path.glob("*.safetensors"))) - at
    assert all(torch.equal(a, b) for a, b in zip(frames, wanted, strict=True))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", [9, 2])
def test_pieces_of_other_frames_are_not_taken(tmp_path, where):
    """Whether they differ in the second window, or in what the first one looks at before it."""
    shelf, settings = Checkpoints(tmp_path), {"length": 7, "overlap": 3}
    holes = range(4, 20)

    def process(clip, mask, carried):
        filled, carried = learner(clip, mask, carried)
        return torch.where(mask > 0, clip[0, :, :1].mean() + filled, clip), carried

    with pytest.raises(Killed), shelf.of({}, settings) as checkpoint:
        run(stream(20, holes), process, store=checkpoint.pieces(), **settings)
        raise Killed
    changed = stream(20, holes)
    changed[where][0][0, 5, 5] += 0.125  # outside of the hole
    with shelf.of({}, settings) as checkpoint:
        frames = run(changed, process, store=checkpoint.pieces(), **settings)
    wanted = run(changed, process, **settings)
    assert all(torch.equal(a, b) for a, b in zip(frames, wanted, strict=True))


def test_pieces_of_another_scene_are_not_taken(tmp_path):
    """The same frames, between which a cut is seen now: nothing is carried over it."""
    shelf, settings = Checkpoints(tmp_path), {"length": 5, "overlap": 0}
    with pytest.raises(Killed), shelf.of({}, settings) as checkpoint:
        run(stream(15), learner, store=checkpoint.pieces(), **settings)
        raise Killed
    with shelf.of({}, settings) as checkpoint:
        frames = run(stream(15), learner, store=checkpoint.pieces(), scenes=(5,), **settings)
    wanted = run(stream(15), learner, scenes=(5,), **settings)
    assert all(torch.equal(a, b) for a, b in zip(frames, wanted, strict=True))
