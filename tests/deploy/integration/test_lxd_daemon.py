from tests.support.lxd import Instances, OwnLxd


def test_a_running_instance_outlives_a_stop_of_its_daemon(own_lxd: OwnLxd) -> None:
    mine = Instances(own_lxd, "own")
    name = mine.launch()
    before = own_lxd.call("GET", f"/1.0/instances/{name}/state")["pid"]

    own_lxd.stop()
    own_lxd.start()

    assert own_lxd.call("GET", f"/1.0/instances/{name}/state")["pid"] == before
