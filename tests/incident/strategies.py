"""Any event at all: every kind with any content that its types allow, sensible or not."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from tocsin.domain.actions import ActionStatus, Autonomy, Plan, QuorumResult, Verification
from tocsin.domain.canonical import Json
from tocsin.domain.detections import Detection
from tocsin.domain.hashes import tx_hash
from tocsin.domain.principals import Approval
from tocsin.incident import events as e
from tocsin.runbook.model import Severity

texts = st.text(max_size=8)
numbers = st.integers(-2, 4)
offsets = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=offsets)  # noqa: DTZ001 - the strategy adds zones
leaves = st.none() | st.booleans() | st.integers() | texts
json_values: st.SearchStrategy[Json] = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2), max_leaves=4
)
json_objects = st.dictionaries(texts, json_values, max_size=3)
hashes = st.integers(0, 2**256 - 1).map(lambda number: tx_hash(f"{number:064x}"))
heights = st.none() | st.integers(0, 2**32)
autonomies = st.sampled_from(Autonomy)
severities = st.sampled_from(Severity)
run_ids = st.sampled_from(["INC-1/1.0.1", "INC-1/1.0.2", "INC-1/2.0.1", "INC-1/9.9.9", "", "nonsense"])

plans = st.builds(
    Plan,
    run=run_ids,
    action=texts,
    summary=texts,
    inputs=json_objects,
    before=json_objects,
    resources=st.lists(texts, max_size=2).map(tuple),
    approvals_needed=numbers,
    runbook_hash=st.just("c0ffee") | texts,
)
approvals = st.builds(Approval, texts, texts, texts, moments, moments)
verifications = st.builds(
    Verification,
    holds=st.booleans(),
    summary=texts,
    height=heights,
    quorum=st.none() | st.builds(QuorumResult, numbers, numbers, numbers),
    effect_probe=st.none() | texts,
)
detections = st.builds(Detection, texts, texts, texts, texts, texts, texts, moments, heights, json_objects)

any_event: st.SearchStrategy[e.Event] = st.one_of(
    st.builds(e.Declared, texts, texts, severities, texts, texts, texts, autonomies),
    st.builds(e.DetectionJoined, detections),
    st.builds(e.Acknowledged),
    st.builds(e.StatusChanged, st.sampled_from(e.Status), texts),
    st.builds(e.SeverityChanged, severities, texts),
    st.builds(e.RoleAssigned, st.sampled_from(["IC", "TL", "CL", "CEO"]), texts),
    st.builds(e.StepRequested, numbers, texts, st.none() | numbers, st.none() | numbers),
    st.builds(e.StepSkipped, numbers, texts),
    st.builds(e.ConditionAnswered, numbers, st.booleans(), texts),
    st.builds(e.ItemTicked, numbers, numbers, texts),
    st.builds(e.CommandDone, numbers, numbers, numbers, texts),
    st.builds(e.PlanProposed, run_ids, numbers, plans, autonomies, st.lists(texts, max_size=2).map(tuple)),
    st.builds(e.RunRefused, run_ids, json_objects),
    st.builds(e.RunManual, run_ids, numbers, texts),
    st.builds(e.PlanApproved, run_ids, approvals),
    st.builds(e.RunFired, run_ids, numbers, plans, texts, st.lists(texts, max_size=2).map(tuple)),
    st.builds(e.RunSent, run_ids, hashes, st.integers(0, 2**32)),
    st.builds(
        e.RunFinished,
        run_ids,
        st.sampled_from(ActionStatus),
        st.none() | hashes,
        heights,
        st.none() | verifications,
        st.none() | json_objects,
    ),
    st.builds(e.DeadlineReached, st.sampled_from(e.DeadlineKind), run_ids | st.sampled_from(["INC-1", "1"]), moments),
    st.builds(e.NoteAdded, texts),
    st.builds(e.Resolved, texts),
    st.builds(e.ClosedAsFalseAlarm, texts),
    st.builds(e.Reopened, texts),
)
