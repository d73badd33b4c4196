from harness.core.errors import FAILURE_HELP, Reason


def test_every_reason_has_a_meaning_and_a_remedy() -> None:
    assert list(FAILURE_HELP) == list(Reason)
    for help in FAILURE_HELP.values():
        assert help.meaning.endswith(".")
        assert help.remedy.endswith(".")
