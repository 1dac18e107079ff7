import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.states import ACTIONS, FINAL, HELD, STATUSES, TABLE, VERBS, Already, Refusal, Transition, decide

# Written out a second time, by hand: where each action leads from each status. "=" is already so, "-" is refused.
WALK = """
            cancel      stop     pause    resume  extend  claim    drain      succeed    fail       acknowledge  expire     give_up
queued      cancelled   queued   paused   =       -       running  -          -          failed     -            -          -
running     cancelling  running  pausing  =       -       -        queued     succeeded  failed     -            queued     failed
pausing     cancelling  -        =        -       -       -        paused     succeeded  failed     paused       paused     paused
paused      cancelled   -        =        queued  -       -        -          -          -          -            -          -
cancelling  =           -        -        -       -       -        cancelled  cancelled  cancelled  cancelled    cancelled  cancelled
succeeded   -           =        -        -       queued  -        -          -          -          -            -          -
failed      -           -        -        -       -       -        -          -          -          -            -          -
cancelled   =           -        -        -       -       -        -          -          -          -            -          -
"""  # noqa: E501
HEADER, *LINES = (line.split() for line in WALK.strip().splitlines())
CASES = [(line[0], action, to) for line in LINES for action, to in zip(HEADER, line[1:], strict=True)]


def test_the_table_is_complete():
    assert (
        {(status, action) for status, action, _ in CASES} == set(TABLE) == {(s, a) for s in STATUSES for a in ACTIONS}
    )


@pytest.mark.parametrize(("status", "action", "to"), CASES)
def test_every_status_with_every_action(status, action, to):
    outcome = decide(status, action, epoch=1)
    match outcome:
        case Already():
            assert to == "="
        case Refusal(reason):
            assert to == "-"
            assert "run" in reason
            assert len(reason) > 10
        case Transition():
            assert outcome.status == to


def test_each_final_status_is_reached_by_telling_it_and_no_other_event_is_final():
    for outcome in TABLE.values():
        if isinstance(outcome, Transition):
            assert (outcome.event in {f"run.{final}" for final in FINAL}) == (outcome.status in FINAL)
            assert outcome.status not in FINAL or outcome.event == f"run.{outcome.status}"


def test_only_a_request_to_stop_changes_nothing_that_is_told():
    silent = {action for (_, action), outcome in TABLE.items() if isinstance(outcome, Transition) and not outcome.event}
    assert silent == {"stop"}


def test_what_is_requested_is_read_only_by_a_worker_that_holds_the_run():
    for outcome in TABLE.values():
        if isinstance(outcome, Transition) and outcome.requested in ("cancel", "pause"):
            assert outcome.status in HELD
    assert all(isinstance(TABLE[status, "claim"], Transition) == (status == "queued") for status in STATUSES)


def test_stopping_needs_an_epoch_to_keep_and_asking_again_is_no_news():
    assert isinstance(decide("running", "stop", epoch=0), Refusal)
    assert isinstance(decide("running", "stop", epoch=1), Transition)
    assert decide("running", "stop", requested="stop", epoch=1) == Already()
    assert isinstance(decide("queued", "stop", epoch=0), Refusal)


@given(st.lists(st.sampled_from(ACTIONS), max_size=60))
def test_whatever_happens_there_is_one_final_event_in_a_generation(actions):
    status, finals, generation = "queued", 0, 1
    for action in actions:
        outcome = decide(status, action, epoch=1)
        if isinstance(outcome, Transition):
            generation += outcome.event == "run.extended"
            finals += outcome.status in FINAL
            status = outcome.status
            assert finals == (generation if status in FINAL else generation - 1)


@pytest.mark.parametrize("status", [status for status in STATUSES if status not in FINAL])
def test_every_run_that_is_not_final_can_be_cancelled(status):
    outcome = decide(status, "cancel")
    reached = outcome.status if isinstance(outcome, Transition) else status
    if reached != "cancelled":
        assert {TABLE[reached, action] for action in ("acknowledge", "expire", "drain", "succeed")} == {
            Transition("cancelled", "run.cancelled")
        }


def test_verbs_are_what_a_caller_may_ask():
    assert VERBS == ("cancel", "stop", "pause", "resume", "extend")
