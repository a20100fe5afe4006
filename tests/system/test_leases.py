"""The two cases in which a lease is most easily forgotten, before an observer that asks every node at once."""
import os
import signal
import time

from lab.client import Observer
from lab.shell import expect, wait_until
from test_quorum import FIVE, STANDING, stand, watched

ALONE = True  # what happens within a detection time must not wait for another laboratory
FROZEN_S = 0.8  # several leases, and a takeover
DEAF_S = 0.04  # before the owner stands still: nobody accuses anybody yet
DETECTION_S = 0.19 - 0.03  # lan, from the last heartbeat, which left up to an interval before
ATTEMPTS = 3  # more would make the nodes that restart count as flapping


def kill_and_start(cluster, names):
    """kill -9 and a new life at once: what they acknowledged is forgotten. When the last one was killed."""
    nodes = [cluster.lab[name] for name in names]
    pids = [pid for node in nodes for pid in node.processes.by_name("vigild")]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    for node in nodes:
        cluster.vigil.start_node(node)
    return killed


def forget_and_take_over(cluster, observer, forgetful, offset_s):
    """A round of it in which the restarts came before anybody could vote: otherwise those who restart were asked before
    they forgot, and a takeover is right. A busy machine may take too long for that; then the round says nothing."""
    for _ in range(ATTEMPTS):
        owner, after, took_s = one_round(cluster, observer, forgetful, offset_s)
        if took_s < DETECTION_S:
            return owner, after
        print(f"       a round is void: the last was killed {took_s * 1000:.0f} ms after the deafening began")
    expect(False, f"in {ATTEMPTS} rounds this machine never deafened, froze and killed within {DETECTION_S * 1000:.0f} ms")
    return None


def one_round(cluster, observer, forgetful, offset_s):
    """The owner is heard by two voters alone, freezes, and so many of these two restart around that moment.

    Those two keep its lease alive until it stands still; the two others acknowledged it last before they were deafened,
    so that what they remember is over too soon. They must not be enough.
    """
    owner = cluster.probe.serving()
    voters = [name for name in FIVE if name != owner]
    deaf, acknowledging = voters[:2], voters[2:]
    began = time.monotonic()
    cluster.lab.hearing.deafen(*((owner, name) for name in deaf), *((name, owner) for name in deaf))
    time.sleep(DEAF_S)
    if offset_s < 0:
        killed = kill_and_start(cluster, acknowledging[:forgetful])
        time.sleep(-offset_s)
    cluster.lab[owner].freeze()
    if offset_s >= 0:
        time.sleep(offset_s)
        killed = kill_and_start(cluster, acknowledging[:forgetful])
    time.sleep(FROZEN_S)
    after = observer.serving()
    cluster.lab.join()
    cluster.lab[owner].thaw()
    observer.expect_one_owner()
    cluster.expect_counting(FIVE, FIVE, 3, f"{forgetful} voters restarted {offset_s * 1000:.0f} ms after the owner froze", 30)
    return owner, after, killed - began


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
