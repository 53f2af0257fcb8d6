import base64
from pathlib import Path

import pytest

from sandbox.aws import login


def test_a_fresh_login_is_accepted() -> None:
    made = login.issue("secret", now=1000, life=60)
    login.check("secret", "AWS", made.password, now=1059)
    assert made.expires == 1060


def test_the_token_holds_user_and_password() -> None:
    made = login.issue("secret", now=1000, life=60)
    assert base64.b64decode(made.token).decode() == f"AWS:{made.password}"


def test_a_login_whose_time_is_over_is_told_apart() -> None:
    made = login.issue("secret", now=1000, life=60)
    with pytest.raises(login.ExpiredLoginError):
        login.check("secret", "AWS", made.password, now=1060)


@pytest.mark.parametrize("password", ["", "x", "x.y", ".", "ü.ü"])
def test_nonsense_is_no_login(password: str) -> None:
    with pytest.raises(login.LoginError):
        login.check("secret", "AWS", password, now=0)


def test_another_user_or_secret_is_no_login() -> None:
    made = login.issue("secret", now=1000, life=60)
    for secret, user in (("secret", "root"), ("other", "AWS")):
        with pytest.raises(login.LoginError):
            login.check(secret, user, made.password, now=1001)


def test_a_login_cannot_be_prolonged_by_its_holder() -> None:
    short, long = login.issue("secret", 1000, 1), login.issue("other", 1000, 9999)
    forged = f"{long.password.partition('.')[0]}.{short.password.partition('.')[2]}"
    with pytest.raises(login.LoginError, match="no login"):
        login.check("secret", "AWS", forged, now=1000)


def test_life_is_as_on_aws_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "life"
    assert login.life(path) == 12 * 3600
    path.write_text("1.5\n")
    assert login.life(path) == 1.5
    path.write_text("soon")
    assert login.life(path) == 12 * 3600
