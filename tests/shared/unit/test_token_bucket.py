from shared.platform.token_bucket import TokenBucket
from tests.support.clock import FakeClock


def test_what_fits_into_the_burst_has_not_to_wait() -> None:
    bucket = TokenBucket(10, burst=5, clock=FakeClock().monotonic)

    assert [bucket.take(1) for _ in range(5)] == [0.0] * 5


def test_beyond_the_burst_each_taker_waits_for_all_before_it() -> None:
    bucket = TokenBucket(10, burst=2, clock=FakeClock().monotonic)

    assert [round(bucket.take(1), 3) for _ in range(5)] == [0.0, 0.0, 0.1, 0.2, 0.3]


def test_time_pays_the_debt_and_fills_the_bucket_no_further_than_its_burst() -> None:
    time = FakeClock()
    bucket = TokenBucket(10, burst=2, clock=time.monotonic)
    bucket.take(12)

    time.advance(1.0)
    assert round(bucket.take(1), 3) == 0.1

    time.advance(3600.0)
    assert bucket.take(2) == 0.0
    assert bucket.take(1) > 0.0


def test_a_try_takes_nothing_where_there_is_too_little() -> None:
    time = FakeClock()
    bucket = TokenBucket(1, burst=1, clock=time.monotonic)

    assert bucket.try_take()
    assert not bucket.try_take()
    time.advance(1.0)
    assert bucket.try_take()
