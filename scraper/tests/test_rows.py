"""What a stored row may hold."""

from engine.methods.shapes import without_login_code


def message(sender_id: int, text: str) -> dict:
    return {"message_id": 1, "sender_id": sender_id, "message": text}


def test_a_login_code_is_blotted_out() -> None:
    stored = without_login_code(message(777000, "Login code: 48213. Do not give it away."))
    assert stored["message"] == "Login code: •••••. Do not give it away."
    assert "48213" not in without_login_code(message(777000, "t.me/login/48213"))["message"]


def test_numbers_of_others_stay() -> None:
    text = "My order is 48213"
    assert without_login_code(message(5, text))["message"] == text
