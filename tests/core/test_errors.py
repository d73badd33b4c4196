from harness.core.errors import FAILURE_HELP, CaseFailed, Reason, RequestError


def test_every_reason_has_a_meaning_and_a_remedy() -> None:
    assert list(FAILURE_HELP) == list(Reason)
    for help in FAILURE_HELP.values():
        assert help.meaning.endswith(".")
        assert help.remedy.endswith(".")


def test_a_message_can_be_printed_whatever_it_quotes() -> None:
    path = b"a\xff.tflite".decode(errors="surrogateescape")
    assert str(RequestError(f"{path}: is missing.")) == "a\ufffd.tflite: is missing."
    assert str(CaseFailed(Reason.CRASHED, "\ud800")).encode() == "\ufffd".encode()
