"""The two cases in which a lease is most easily forgotten, before an observer that asks every node at once."""
import os
import signal
import time

from lab.client import Observer
from lab.shell import expect, wait_until
from test_quorum import FIVE, STANDING, stand, watched

FROZEN_S = 0.8  # several leases, and a takeover


def kill_and_start(cluster, name):
    """kill -9 and a new life at once: what it acknowledged is forgotten."""
    node = cluster.lab[name]
    for pid in node.processes.by_name("vigild"):
        os.kill(pid, signal.SIGKILL)
    cluster.vigil.start_node(node)


def forget_and_take_over(cluster, observer, forgetful, offset_s):
    """The owner is heard by two voters alone, freezes, and so many of these two restart around that moment.

    Those two keep its lease alive until it stands still; the two others acknowledged it last before they were deafened,
    so that what they remember is over too soon. They must not be enough.
    """
    owner = cluster.probe.serving()
    voters = [name for name in FIVE if name != owner]
    deaf, acknowledging = voters[:2], voters[2:]
    cluster.lab.hearing.deafen(*((owner, name) for name in deaf), *((name, owner) for name in deaf))
    time.sleep(0.1)  # less than the detection time: nobody accuses anybody yet
    if offset_s < 0:
        for name in acknowledging[:forgetful]:
            kill_and_start(cluster, name)
        time.sleep(-offset_s)
    cluster.lab[owner].freeze()
    if offset_s >= 0:
        time.sleep(offset_s)
        for name in acknowledging[:forgetful]:
            kill_and_start(cluster, name)
    time.sleep(FROZEN_S)
    after = observer.serving()
    cluster.lab.join()
    cluster.lab[owner].thaw()
    observer.expect_one_owner()
    cluster.expect_counting(FIVE, FIVE, 3, f"{forgetful} voters restarted {offset_s * 1000:.0f} ms after the owner froze", 30)
    return owner, after


def test_a_voter_that_restarts_at_the_worst_moment(settings):
    """However its restart lies to the owner's last renewal, nobody takes over while that lease may last."""
    with watched(settings, FIVE) as cluster:
        cluster.start(*FIVE)
        cluster.expect_counting(FIVE, FIVE, 3, "after the start", 30)
        observer = Observer(cluster.lab)
        for offset_s in (-0.03, 0.04):
            owner, after = forget_and_take_over(cluster, observer, 2, offset_s)
            expect(not after, f"{after} served though only two of five remember anything, and the lease of {owner} was theirs")
        owner, after = forget_and_take_over(cluster, observer, 1, 0.01)
        expect(len(after) == 1 and after != [owner], f"{after} served; three remember the lease of {owner}: one should take over")
        observer.expect_one_owner()


def test_the_last_man_and_the_return_of_all_others(settings):
    """One is left, alone by an agreed view. The four others come back where they do not hear it: four of five configured
    votes, and not a cluster; neither while it serves, nor while it stands still."""
    with watched(settings, FIVE, [STANDING]) as cluster:
        cluster.start(*FIVE)
        cluster.expect_counting(FIVE, FIVE, 3, "after the start", 30)
        observer = Observer(cluster.lab)
        last = stand(cluster, FIVE, 2)
        leaving = next(name for name in last if name != cluster.probe.serving())
        man = next(name for name in last if name != leaving)
        cluster.vigil.ctl(cluster.lab[leaving], "node", "stop", leaving, check=False)
        cluster.expect_counting((man,), (man,), 1, f"{leaving} left in good order")
        others = [name for name in FIVE if name != man]
        cluster.lab.part([man], others)
        cluster.power_on(*others)
        expect(wait_until(lambda: all((cluster.vigil.status(cluster.lab[n]) or {}).get("role") == "joining" for n in others), 15),
               "the four do not get ready")
        time.sleep(1)
        cluster.expect_silent(others, f"beside {man}", 0)
        expect(observer.serving() == [man], f"{observer.serving()} serve; it should be {man}, alone")
        cluster.lab[man].freeze()
        time.sleep(1)
        cluster.expect_silent(others, f"beside {man}, which stands still", 0)
        expect(observer.serving() == [], f"{observer.serving()} serve without {man}")
        cluster.lab[man].thaw()
        expect(wait_until(lambda: observer.serving() == [man], 5), f"{man} does not serve again")
        cluster.lab.join()
        cluster.expect_counting(FIVE, FIVE, 3, "when they hear each other", 30)
        observer.expect_one_owner()
