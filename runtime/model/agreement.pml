// The agreement and lease protocol of runtime/DESIGN.md sections 5 to 7 for three nodes and one service
// address, as a SPIN model. Decides nothing for the runtime: it is read beside runtime/core, transition by
// transition (README.md has the map), and it must never promise more than the code does. Where the code
// only delays or refuses for liveness (ranks, patience, votes held back), the model lets everything happen.
//
// One process, whose every step is one atomic transition of one node, or of time. A message that was sent
// may arrive at any later step, any number of times or never: a receiver's step asks only whether it was sent.

#ifndef CANDIDACIES
#define CANDIDACIES 2   /* view changes that anybody may begin */
#endif
#ifndef RESTARTS
#define RESTARTS 1      /* of all nodes together */
#endif
#ifndef WIPES
#define WIPES 0         /* restarts that find no memory */
#endif
#ifndef MOVES
#define MOVES 0         /* second records of an epoch: a move, or an owner's report */
#endif
#ifndef TICKS
#define TICKS 0         /* a lease, on the slowest clock; 0: agreement alone, nobody is acknowledged */
#endif
#ifndef COLD
#define COLD 0          /* 1: begin with no view at all */
#endif
#ifndef COORDINATOR
#define COORDINATOR 0   /* of the first view, whose owner is node 0 */
#endif
#ifndef ACK_ALL
#define ACK_ALL 0       /* 1: everybody's renewals are acknowledged; 0: of those whom a proposal names owner */
#endif
#ifndef MUTANT
#define MUTANT 0
#endif

#define SKIP_LEASE_WAIT          (MUTANT == 1)
#define NO_OLD_QUORUM            (MUTANT == 2)
#define FORGET_ACCEPTED          (MUTANT == 3)
#define RESTARTED_VOTES_AT_ONCE  (MUTANT == 4)
#define ACK_AFTER_VOTE           (MUTANT == 5)
#define NO_DRIFT                 (MUTANT == 6)
#define READMIT                  (MUTANT == 7)
#define IGNORE_RELEASE           (MUTANT == 8)
#define JOINERS_NEED_NOT_ACCEPT  (MUTANT == 9)
#define DOUBT_FORGOTTEN          (MUTANT == 10)
#define ANY_LIFE_OF_PROPOSER     (MUTANT == 11)
#define DOUBT_HIDES_ANOTHER_WAY  (MUTANT == 12)

#define N 3
#define NOBODY 3
#define ALL 7
#define SLOTS (CANDIDACIES + 2)   /* slot 0: no view; slot 1: the first view, when there is one */
#define RECORDS (2 * SLOTS)       /* record 2s: version 1 of slot s; 2s+1: version 2 */

/* Sets of nodes are masks; incarnations of three nodes are two bits each, 3 meaning never a member. */
#define BIT(n)        (1 << (n))
#define HAS(set, n)   (((set) >> (n)) & 1)
#define QUORUM(set)   ((232 >> (set)) & 1)            /* two or three of three */
#define VI(s, n)      ((view_inc[s] >> (2 * (n))) & 3)
#define INC(n)        ((inc >> (2 * (n))) & 3)
#define SAME(a, b)    (((((a) ^ (b)) & 3) == 0) | (((((a) ^ (b)) & 12) == 0) << 1) | (((((a) ^ (b)) & 48) == 0) << 2))
#define MAX(a, b)     ((a) > (b) -> (a) : (b))

/* ---- a candidacy, and the records that it may propose: slot s ----------------------------------- */

#define UNUSED 0
#define PREPARING 1
#define PROPOSING 2      /* version 1 is out */
#define LEADING 3        /* version 1 committed */
#define PROPOSING_2 4
#define LEADING_2 5

byte used = 1;                    /* first free slot */
byte top;                         /* highest counter in use */
byte phase[SLOTS];                /* as far as its Prepare and Accepts are on the network */
bool live[SLOTS];               /* its proposer lives and has not turned to another */
byte epoch[SLOTS];                /* counter * 4 + proposer */
byte members[SLOTS];
byte view_inc[SLOTS];
byte base[SLOTS];                 /* record it follows: while preparing, the newest promised */
byte promised_by[SLOTS];
byte recovering[SLOTS];           /* of these, restarted and without a vote in this life */
bool unanimous[SLOTS];
byte expelled[SLOTS];
byte left[SLOTS];                 /* ticks that the lease of whoever is left out may still run */
byte accepted_by[RECORDS];
bool committed[RECORDS];          /* its proposer counted the votes */
byte owner[RECORDS];
byte unproven[RECORDS];
byte generation[RECORDS];

#define PROPOSER(s)    (epoch[s] & 3)
#define OUTSIDE(s)     (ALL & ~members[s])
#define SLOT(r)        ((r) >> 1)
#define IS_JOINT(r)    (((r) & 1) == 0 && members[SLOT(base[SLOT(r)])] != 0)
#define PREVIOUS(r)    SLOT(base[SLOT(r)])
#define STAMP(r)       ((epoch[SLOT(r)] << 1) | ((r) & 1))
#define HOLDS(s, n)    (HAS(members[s], n) && VI(s, n) == INC(n))

/* ---- a node ---------------------------------------------------------------------------------- */

byte inc;                         /* incarnations */
byte promised[N];                 /* epoch; proposer NOBODY after a restart: the stored ceiling */
byte promised_life[N];            /* of its proposer; who has a memory never uses an epoch twice */
byte accepted[N];                 /* record; 0: none */
byte stored[N];                   /* what is on the disk at least: where this life began */
byte known[N];                    /* newest record known committed; 0: none */
bool fresh[N];                    /* nothing accepted in this life */
byte forgotten[N];                /* earlier lives accepted nothing of a counter above this; 0: nothing was stored */
byte waiting[N];                  /* restart wait */
byte kept[N] = ALL;               /* whom it still acknowledges */
bool holding[N];                  /* gate and address are there, while the lease lasts */
byte over[N];                     /* until all leases of nodes outside the view are over */
byte accounted[N];                /* whose are in it */
byte told[N];                     /* slot whose proposal told it; 0: none */
byte named;                       /* nodes that some record names owner */
byte restarts_left = RESTARTS;
byte wipes_left = WIPES;
byte moves_left = MOVES;

/* Lease: node h's renewal, acknowledged by v. The ticks left of it are v's record, and also what h may
   have received of it by now, or may receive yet. */
byte acked[9];
byte acked_in[9];                 /* slot of the view in which v acknowledged */
byte until[N];                    /* of h: lease granted in earlier views */
byte gate[N];                     /* of an earlier life: the kernel's gate stays open without the daemon */

#define ACK(v, h)      ((v) * 3 + (h))
#define VIEW(n)        SLOT(known[n])
#define MEMBER(n)      (known[n] != 0 && HOLDS(VIEW(n), n))
#define VOTED_OUT(n)   (known[n] != 0 && VI(VIEW(n), n) == INC(n) && !HAS(members[VIEW(n)], n))
#define AWAKE(n)       (waiting[n] == 0 && !VOTED_OUT(n))
#define GRANT(v, h)    (acked_in[ACK(v, h)] == VIEW(h) -> acked[ACK(v, h)] : 0)
#define GRANTS(h)      MAX(GRANT(0, h), MAX(GRANT(1, h), GRANT(2, h)))
#define LEASE(h)       (MEMBER(h) -> MAX(until[h], GRANTS(h)) : 0)
#define SERVES(h)      ((holding[h] && MEMBER(h) && LEASE(h) > 0) || gate[h] > 0)

/* for use within one step, zero between steps */
byte t, u, o, i, p, b, q, joins, is_strict;
inline tidy() { t = 0; u = 0; o = 0; i = 0; p = 0; b = 0; q = 0; joins = 0; is_strict = 0 }

#define must(condition, text)  if :: condition -> skip :: else -> printf(text); assert(false) fi

/* Without leases nothing is kept of them: states that differ in nothing else are one. */
inline leave_out(n, set) { if :: TICKS > 0 -> kept[n] = kept[n] & (set) :: else fi }
inline keep_only(n, set) { if :: TICKS > 0 -> kept[n] = set :: else fi }

inline name_owner(n) { if :: TICKS > 0 && !ACK_ALL -> named = named | BIT(n) :: else fi }
#define LATER(variable, value)  if :: (value) > variable -> variable = (value) :: else fi

#define LIFE_OF(s)    VI(s, PROPOSER(s))
#define OPEN_TO(s, v) \
  (epoch[s] > promised[v] || (epoch[s] == promised[v] && (ANY_LIFE_OF_PROPOSER || WIPES == 0 || promised_life[v] == LIFE_OF(s))))

inline bind(n, s) {
  promised[n] = epoch[s];
  if :: WIPES > 0 -> promised_life[n] = LIFE_OF(s) :: else fi
}

/* ---- first round -------------------------------------------------------------------------------- */

/* May node i be of slot s, as seen from record r? As a member that stays, or as a new incarnation. */
#define STAYS(s, i, r)   (HAS(members[SLOT(r)], i) && VI(SLOT(r), i) == VI(s, i))
#define WAS_BEFORE(s, i, r) (VI(SLOT(r), i) == VI(s, i) || (IS_JOINT(r) && VI(PREVIOUS(r), i) == VI(s, i)))
#define FITS(s, i, r)    (!HAS(members[s], i) || STAYS(s, i, r) || READMIT || !WAS_BEFORE(s, i, r))

/* In what life a candidate n may propose node i: as a member of what it accepted, or as it is now. */
#define OUT 0
#define STAY 1
#define JOIN 2
#define MAY(n, i, how) \
  ((how) == OUT || ((how) == STAY && HAS(members[SLOT(accepted[n])], i)) || \
   ((how) == JOIN && waiting[i] == 0 && !HOLDS(SLOT(accepted[n]), i) && \
    (READMIT || (VI(SLOT(accepted[n]), i) != INC(i) && \
                 !(IS_JOINT(accepted[n]) && VI(PREVIOUS(accepted[n]), i) == INC(i))))))
#define INC_AS(n, i, how) ((how) == JOIN -> INC(i) : VI(SLOT(accepted[n]), i))

inline retire(n) {
  i = 1;
  do
  :: i < used ->
     if
     :: live[i] && PROPOSER(i) == n ->
        live[i] = 0;
        if
        :: phase[i] == PREPARING -> promised_by[i] = 0; recovering[i] = 0; base[i] = 0; left[i] = 0
        :: else
        fi
     :: else
     fi;
     i++
  :: else -> break
  od
}

inline count_promise(s, v) {
  promised_by[s] = promised_by[s] | BIT(v);
  if :: fresh[v] -> recovering[s] = recovering[s] | BIT(v) :: else fi;
  if
  :: TICKS > 0 && members[s] != ALL ->
     u = (OUTSIDE(s) == 1 -> 0 : (OUTSIDE(s) == 2 -> 1 : 2));
     t = acked[ACK(v, u)];
     if :: NO_DRIFT && t > 0 -> t-- :: else fi;
     LATER(left[s], t)
  :: else
  fi
}

/* Candidate n prepares with counter c; the other two are x (as hx) and y (as hy). Its own promise is at once. */
inline begin(n, c, x, hx, y, hy) {
  d_step {
    used < SLOTS && AWAKE(n) && c > (promised[n] >> 2) && c <= top + 1 &&
    (HOLDS(SLOT(accepted[n]), n) || MAY(n, n, JOIN)) && MAY(n, x, hx) && MAY(n, y, hy) ->
    retire(n);
    epoch[used] = c * 4 + n;
    if :: c > top -> top = c :: else fi;
    members[used] = BIT(n) | (hx != OUT -> BIT(x) : 0) | (hy != OUT -> BIT(y) : 0);
    view_inc[used] = (INC(n) << (2 * n)) | ((hx == OUT -> 3 : INC_AS(n, x, hx)) << (2 * x)) |
                     ((hy == OUT -> 3 : INC_AS(n, y, hy)) << (2 * y));
    base[used] = accepted[n];
    phase[used] = PREPARING;
    live[used] = 1;
    bind(n, used);
    leave_out(n, members[used]);
    count_promise(used, n);
    printf("%d prepares %d.%d, members %d\n", n, c, n, members[used]);
    used++;
    tidy()
  }
}

#define ASKED(s, v) \
  (phase[s] != UNUSED && PROPOSER(s) != v && AWAKE(v) && HOLDS(s, v) && OPEN_TO(s, v))

/* A promise that is lost, or comes too late, binds its giver all the same. */
inline promise_lost(s, v) {
  d_step {
    ASKED(s, v) && epoch[s] > promised[v] ->
    printf("%d promises %d.%d; the promise is lost or comes too late\n", v, epoch[s] >> 2, epoch[s] & 3);
    bind(v, s);
    leave_out(v, members[s])
  }
}

/* The candidate learns the newer record now, or (learn == 0) when it proposes: the answer was slow. */
inline promise(s, v, learn) {
  d_step {
    ASKED(s, v) && phase[s] == PREPARING && live[s] && !VOTED_OUT(PROPOSER(s)) && !HAS(promised_by[s], v) &&
    (!learn || STAMP(accepted[v]) > STAMP(accepted[PROPOSER(s)])) ->
    printf("%d promises %d.%d, reports record %d.%d/%d\n", v, epoch[s] >> 2, epoch[s] & 3, epoch[SLOT(accepted[v])] >> 2, epoch[SLOT(accepted[v])] & 3, 1 + (accepted[v] & 1));
    bind(v, s);
    leave_out(v, members[s]);
    count_promise(s, v);
    p = PROPOSER(s);
    b = (FORGET_ACCEPTED -> 0 : accepted[v]);
    if :: learn && !FORGET_ACCEPTED -> accepted[p] = accepted[v] :: else fi;
    if
    :: STAMP(b) > STAMP(base[s]) ->
       base[s] = b;
       if
       :: FITS(s, 0, b) && FITS(s, 1, b) && FITS(s, 2, b) -> skip
       :: else -> retire(p)
       fi
    :: else
    fi;
    tidy()
  }
}

/* ---- second round ------------------------------------------------------------------------------- */

#define B(s)            SLOT(base[s])
#define STAYING(s)      (members[B(s)] & members[s] & SAME(view_inc[B(s)], view_inc[s]))
#define JOINING(s)      (members[s] & ~STAYING(s))
#define SURVIVORS(s)    (STAYING(s) & promised_by[s])
#define IN_DOUBT(s)     (!DOUBT_FORGOTTEN && IS_JOINT(base[s]) && epoch[VIEW(PROPOSER(s))] != epoch[B(s)])
/* of those who promised, who might have accepted something newer than the base in an earlier life */
#define FORGETFUL(s, v) (HAS(recovering[s], v) && (forgotten[v] != 0 -> forgotten[v] >= (epoch[B(s)] >> 2) : \
                         (VI(B(s), v) != 3 && VI(B(s), v) != INC(v))))
#define INFORMED(s)     (promised_by[s] & ~(FORGETFUL(s, 0) | (FORGETFUL(s, 1) << 1) | (FORGETFUL(s, 2) << 2)))
#define HIT(s)          (members[B(s)] != 0 && \
                         (NO_OLD_QUORUM || (!QUORUM(members[B(s)] & ~SURVIVORS(s)) && \
                          (!IN_DOUBT(s) || (!QUORUM(members[PREVIOUS(base[s])] & ~promised_by[s]) && \
                           (DOUBT_HIDES_ANOTHER_WAY || !QUORUM(ALL & ~INFORMED(s))))))))
#define COLD_START(s)   (promised_by[s] == ALL || !QUORUM(ALL & ~recovering[s]))
#define AUTHORISED(s)   (QUORUM(promised_by[s]) && (JOINING(s) & ~promised_by[s]) == 0 && (HIT(s) || COLD_START(s)))
#define OWNER_GOES(s)   (owner[base[s]] == NOBODY || !HAS(STAYING(s), owner[base[s]]))

inline vote(r, v) {
  bind(v, SLOT(r));
  if
  :: TICKS > 0 && members[SLOT(r)] != ALL ->
     u = (OUTSIDE(SLOT(r)) == 1 -> 0 : (OUTSIDE(SLOT(r)) == 2 -> 1 : 2));
     if :: !SKIP_LEASE_WAIT -> LATER(over[v], left[SLOT(r)]) :: else fi;
     told[v] = (left[SLOT(r)] > 0 || HAS(expelled[SLOT(r)], u) -> SLOT(r) : 0)
  :: else -> told[v] = 0
  fi;
  if :: STAMP(accepted[v]) < STAMP(r) -> accepted[v] = r; keep_only(v, members[SLOT(r)]) :: else fi;
  fresh[v] = 0;
  accepted_by[r] = accepted_by[r] | BIT(v)
}

inline propose(s, next) {
  d_step {
    phase[s] == PREPARING && live[s] && !VOTED_OUT(PROPOSER(s)) && AUTHORISED(s) &&
    HAS(members[s], next) && (OWNER_GOES(s) || next == owner[base[s]]) &&
    (TICKS > 0 || !OWNER_GOES(s) || next == (HAS(members[s], 0) -> 0 : 1)) ->
    printf("%d proposes %d.%d/1 after %d.%d/%d, members %d, owner %d\n", PROPOSER(s), epoch[s] >> 2, epoch[s] & 3, epoch[SLOT(base[s])] >> 2, epoch[SLOT(base[s])] & 3, 1 + (base[s] & 1), members[s], next);
    p = PROPOSER(s);
    is_strict = HIT(s) && !IN_DOUBT(s) && QUORUM(SURVIVORS(s));
    unanimous[s] = !is_strict && !NO_OLD_QUORUM;
    joins = JOINING(s);
    expelled[s] = members[B(s)] & ~STAYING(s);
    if :: IN_DOUBT(s) -> expelled[s] = expelled[s] | (expelled[B(s)] & ~members[s]) :: else fi;
    o = owner[base[s]];
    unproven[2*s] = unproven[base[s]];
    generation[2*s] = (MOVES -> generation[base[s]] : 0);
    if
    :: OWNER_GOES(s) ->
       if :: o != NOBODY -> unproven[2*s] = unproven[2*s] | BIT(o) :: else fi;
       o = next;
       generation[2*s] = (MOVES -> generation[2*s] + 1 : 0)
    :: else
    fi;
    unproven[2*s] = unproven[2*s] & ~joins & ~BIT(o);
    owner[2*s] = o;
    name_owner(o);
    /* of those outside, the life in which they were last in */
    u = (OUTSIDE(s) == 1 -> 3 : (OUTSIDE(s) == 2 -> 12 : (OUTSIDE(s) == 4 -> 48 : 0)));
    view_inc[s] = (view_inc[s] & ~u) | (view_inc[B(s)] & u);
    phase[s] = PROPOSING;
    promised_by[s] = 0;
    recovering[s] = 0;
    if :: STAMP(accepted[p]) < STAMP(base[s]) -> accepted[p] = base[s] :: else fi;
    if :: OPEN_TO(s, p) -> vote(2*s, p) :: else fi;
    tidy()
  }
}

#define PROPOSED(r)   (((r) & 1) == 0 && phase[SLOT(r)] >= PROPOSING || ((r) & 1) == 1 && phase[SLOT(r)] >= PROPOSING_2)

inline accept(r, v) {
  d_step {
    PROPOSED(r) && !HAS(accepted_by[r], v) && AWAKE(v) && HOLDS(SLOT(r), v) && OPEN_TO(SLOT(r), v) &&
    STAMP(accepted[v]) <= STAMP(r) ->
    printf("%d accepts %d.%d/%d\n", v, epoch[SLOT(r)] >> 2, epoch[SLOT(r)] & 3, 1 + (r & 1));
    vote(r, v);
    tidy()
  }
}

#define ENOUGH(s) \
  ((JOINERS_NEED_NOT_ACCEPT || (JOINING(s) & ~accepted_by[2*s]) == 0) && QUORUM(accepted_by[2*s]) && \
   (unanimous[s] -> accepted_by[2*s] == members[s] : \
    (NO_OLD_QUORUM || members[B(s)] == 0 || QUORUM(STAYING(s) & accepted_by[2*s]))))

/* ---- the record in force ------------------------------------------------------------------------ */

/* Node n puts record r into force. `lease`: what it was told with it of the node left out; `is_told`: whether. */
inline account(n, r, lease, is_told) {
  u = OUTSIDE(SLOT(r));
  if :: known[n] != 0 -> accounted[n] = accounted[n] & SAME(view_inc[VIEW(n)], view_inc[SLOT(r)]) :: else fi;
  if :: told[n] == SLOT(r) -> accounted[n] = accounted[n] | u :: else fi;
  if
  :: is_told ->
     accounted[n] = accounted[n] | u;
     if :: !SKIP_LEASE_WAIT -> LATER(over[n], lease) :: else fi
  :: else
  fi;
  /* a node outside that was a member once, and of whose lease nobody told */
  if
  :: (u & ~accounted[n]) != 0 && ((u == 1 -> VI(SLOT(r), 0) : (u == 2 -> VI(SLOT(r), 1) : VI(SLOT(r), 2))) != 3) ->
     accounted[n] = accounted[n] | u;
     if :: !SKIP_LEASE_WAIT -> over[n] = TICKS :: else fi
  :: else
  fi;
  accounted[n] = accounted[n] & u
}

inline install(n, r, lease, is_told) {
  if
  :: TICKS > 0 ->
     if :: known[n] != 0 && SLOT(r) != VIEW(n) -> LATER(until[n], GRANTS(n)) :: else fi;  /* good to its end */
     account(n, r, lease, is_told)
  :: else
  fi;
  known[n] = r;
  if :: told[n] != 0 && epoch[told[n]] <= epoch[SLOT(r)] -> told[n] = 0 :: else fi;
  if :: STAMP(accepted[n]) < STAMP(r) -> accepted[n] = r :: else fi;
  if :: epoch[SLOT(r)] >= promised[n] -> keep_only(n, members[SLOT(r)]) :: else fi;
  if :: owner[r] != n || !MEMBER(n) -> holding[n] = 0 :: else fi;
  if :: !MEMBER(n) -> until[n] = 0 :: else fi
}

#define TELLS(s)   (OUTSIDE(s) != 0 && (left[s] > 0 || (expelled[s] & OUTSIDE(s)) != 0))

/* I2, I4: r is about to be committed; q was. One must follow from the other, unless a cold start may have
   lost the older: so many are in a life that had accepted nothing, and no quorum that accepted it survives. */
inline follows(young, old) {
  t = young;
  do
  :: t == 0 || t == old -> break
  :: else -> t = ((t & 1) == 1 -> t - 1 : base[SLOT(t)])
  od
}
inline check_commit(r) {
  must(QUORUM(accepted_by[r] & members[SLOT(r)]), "I2: a record is committed without a quorum of its view\n");
  q = 2;
  do
  :: q < RECORDS ->
     if
     :: committed[q] && q != r ->
        must(STAMP(q) != STAMP(r), "I2: two records are committed under one stamp\n");
        if
        :: STAMP(q) > STAMP(r) -> p = q; b = r
        :: else -> p = r; b = q
        fi;
        follows(p, b);
        if
        :: t != b ->
           must(!QUORUM(accepted_by[b] & SAME(view_inc[SLOT(b)], inc)) && (COLD || QUORUM(ALL & ~SAME(inc, 0))),
                "I2: two records are committed, neither of which follows from the other\n")
        :: else
        fi
     :: else
     fi;
     q++
  :: else -> break
  od
}

inline commit(s) {
  d_step {
    phase[s] == PROPOSING && live[s] && !VOTED_OUT(PROPOSER(s)) && ENOUGH(s) ->
    printf("%d commits %d.%d/1, accepted by %d\n", PROPOSER(s), epoch[s] >> 2, epoch[s] & 3, accepted_by[2*s]);
    check_commit(2*s);
    phase[s] = LEADING;
    committed[2*s] = 1;
    p = PROPOSER(s);
    if :: STAMP(2*s) > STAMP(known[p]) -> install(p, 2*s, left[s], TELLS(s)) :: else fi;
    tidy()
  }
}

/* A second record of the epoch: moves the address to `next`, or notes that its owner has acquired it. */
inline propose_state(s, next) {
  d_step {
    moves_left > 0 && phase[s] == LEADING && live[s] && known[PROPOSER(s)] == 2*s && MEMBER(PROPOSER(s)) &&
    HAS(members[s], next) &&
    (next != owner[2*s] || (unproven[2*s] != 0 && holding[next] && known[next] == 2*s && MEMBER(next))) ->
    printf("%d proposes %d.%d/2, owner %d\n", PROPOSER(s), epoch[s] >> 2, epoch[s] & 3, next);
    moves_left--;
    p = PROPOSER(s);
    owner[2*s+1] = next;
    name_owner(next);
    if
    :: next != owner[2*s] ->
       generation[2*s+1] = generation[2*s] + 1;
       unproven[2*s+1] = (unproven[2*s] | (owner[2*s] == NOBODY -> 0 : BIT(owner[2*s]))) & ~BIT(next)
    :: else -> generation[2*s+1] = generation[2*s]; unproven[2*s+1] = 0
    fi;
    phase[s] = PROPOSING_2;
    if :: OPEN_TO(s, p) -> vote(2*s+1, p) :: else fi;
    tidy()
  }
}

inline commit_state(s) {
  d_step {
    phase[s] == PROPOSING_2 && live[s] && !VOTED_OUT(PROPOSER(s)) && QUORUM(accepted_by[2*s+1]) ->
    printf("%d commits %d.%d/2, accepted by %d\n", PROPOSER(s), epoch[s] >> 2, epoch[s] & 3, accepted_by[2*s+1]);
    check_commit(2*s+1);
    phase[s] = LEADING_2;
    committed[2*s+1] = 1;
    p = PROPOSER(s);
    if :: STAMP(2*s+1) > STAMP(known[p]) -> install(p, 2*s+1, left[s], TELLS(s)) :: else fi;
    tidy()
  }
}

#define NEWS(r, n)   (committed[r] && !VOTED_OUT(n) && STAMP(r) > STAMP(known[n]))

/* By the coordinator's Commit, with the leases it was promised. What is installed is what n holds under
   the stamp. */
inline learn_commit(r, n) {
  d_step {
    NEWS(r, n) && STAMP(accepted[n]) == STAMP(r) && HAS(members[SLOT(r)], n) ->
    printf("%d is told that %d.%d/%d is committed\n", n, epoch[SLOT(r)] >> 2, epoch[SLOT(r)] & 3, 1 + (r & 1));
    b = accepted[n];
    install(n, b, left[SLOT(r)], TELLS(SLOT(r)));
    tidy()
  }
}
/* By a heartbeat that names the stamp. */
inline learn_heard(r, n) {
  d_step {
    NEWS(r, n) && STAMP(accepted[n]) == STAMP(r) ->
    printf("%d hears that %d.%d/%d is committed\n", n, epoch[SLOT(r)] >> 2, epoch[SLOT(r)] & 3, 1 + (r & 1));
    b = accepted[n];
    install(n, b, 0, 0);
    tidy()
  }
}
/* Fetched from m. */
inline learn_fetched(r, n, m) {
  d_step {
    NEWS(r, n) && known[m] == r && !VOTED_OUT(m) ->
    printf("%d fetches %d.%d/%d from %d\n", n, epoch[SLOT(r)] >> 2, epoch[SLOT(r)] & 3, 1 + (r & 1), m);
    install(n, r, over[m], (expelled[SLOT(r)] & OUTSIDE(SLOT(r))) != 0);
    tidy()
  }
}

/* ---- leases and serving ------------------------------------------------------------------------- */

inline acknowledge(v, h) {
  d_step {
    TICKS > 0 && (ACK_ALL || HAS(named, h)) && AWAKE(v) && MEMBER(v) && HOLDS(VIEW(v), h) && (HAS(kept[v], h) || ACK_AFTER_VOTE) &&
    (acked[ACK(v, h)] != TICKS || acked_in[ACK(v, h)] != VIEW(v)) ->
    printf("%d acknowledges the lease of %d, in view %d.%d\n", v, h, epoch[VIEW(v)] >> 2, epoch[VIEW(v)] & 3);
    if   /* an older acknowledgement was received, at the latest now */
    :: MEMBER(h) && acked_in[ACK(v, h)] != VIEW(v) -> LATER(until[h], GRANT(v, h))
    :: else
    fi;
    acked[ACK(v, h)] = TICKS;
    acked_in[ACK(v, h)] = VIEW(v);
    if :: MEMBER(h) && GRANT(v, h) == TICKS -> until[h] = 0 :: else fi   /* says no more than this */
  }
}

/* Proof for node h, owner by record known[h], that x serves no more. */
#define PROVEN(h, x) \
  (!HAS(unproven[known[h]], x) || (x) == (h) || \
   (HAS(members[VIEW(h)], x) -> \
      IGNORE_RELEASE || (HOLDS(VIEW(h), x) && !holding[x] && known[x] != 0 && generation[known[x]] == generation[known[h]]) \
      : over[h] == 0))
#define LEASE_OVER(h, x) \
  (HAS(members[VIEW(h)], x) || !HAS(unproven[known[h]], x) || \
   (gate[x] == 0 && (VI(VIEW(h), x) != INC(x) || LEASE(x) == 0)))

inline acquire(h) {
  d_step {
    TICKS > 0 && !holding[h] && MEMBER(h) && owner[known[h]] == h && LEASE(h) > 0 &&
    PROVEN(h, 0) && PROVEN(h, 1) && PROVEN(h, 2) ->
    printf("%d takes the address: owner by %d.%d/%d\n", h, epoch[VIEW(h)] >> 2, epoch[VIEW(h)] & 3, 1 + (known[h] & 1));
    must(LEASE_OVER(h, 0) && LEASE_OVER(h, 1) && LEASE_OVER(h, 2), "I3: taken over while a lease was not over\n");
    holding[h] = 1
  }
}

inline count_down(variable) { if :: variable > 0 -> variable-- :: else fi }

#define RUNNING \
  (acked[1] | acked[2] | acked[3] | acked[5] | acked[6] | acked[7] | until[0] | until[1] | until[2] | gate[0] | \
   gate[1] | gate[2] | over[0] | over[1] | over[2] | waiting[0] | waiting[1] | waiting[2])

inline tick() {
  d_step {
    RUNNING != 0 ->
    printf("a tick\n");
    i = 0;
    do
    :: i < 9 -> count_down(acked[i]); if :: acked[i] == 0 -> acked_in[i] = 0 :: else fi; i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < N -> count_down(until[i]); count_down(gate[i]); count_down(over[i]); count_down(waiting[i]); i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < SLOTS -> count_down(left[i]); i++
    :: else -> break
    od;
    tidy()
  }
}

/* Crash and start in one step: being down in between is doing nothing. What it finds on its disk is what
   it accepted last, or no more than when this life began. */
mtype = { NOTHING, OLDER, NEWEST };
inline restart(n, memory) {
  d_step {
    restarts_left > 0 && INC(n) < 2 && (memory != OLDER || stored[n] != accepted[n]) &&
    (memory != NOTHING || wipes_left > 0) ->
    printf("%d restarts; of its memory it finds %e\n", n, memory);
    restarts_left--;
    if :: holding[n] -> LATER(gate[n], LEASE(n)) :: else fi;
    holding[n] = 0;
    until[n] = 0;
    inc = inc + BIT(2 * n);
    retire(n);
    if :: memory == OLDER -> accepted[n] = stored[n] :: else fi;
    promised[n] = promised[n] | NOBODY;
    promised_life[n] = 0;
    forgotten[n] = (memory == NOTHING -> 0 : promised[n] >> 2);
    if
    :: memory == NOTHING || RESTARTED_VOTES_AT_ONCE -> promised[n] = 0; accepted[n] = 0
    :: else
    fi;
    if :: memory == NOTHING -> wipes_left-- :: else fi;
    stored[n] = (restarts_left > 0 -> accepted[n] : 0);
    waiting[n] = (RESTARTED_VOTES_AT_ONCE -> 0 : TICKS);
    if
    :: RESTARTED_VOTES_AT_ONCE ->   /* it does not know what it acknowledged; the holders do */
       i = 0;
       do
       :: i < N ->
          if :: MEMBER(i) -> LATER(until[i], GRANT(n, i)) :: else fi;
          acked[ACK(n, i)] = 0;
          acked_in[ACK(n, i)] = 0;
          i++
       :: else -> break
       od
    :: else
    fi;
    known[n] = 0;
    fresh[n] = 1;
    kept[n] = ALL;
    over[n] = 0;
    accounted[n] = 0;
    told[n] = 0;
    tidy()
  }
}

/* ---- all of it ---------------------------------------------------------------------------------- */

#if CANDIDACIES == 1
#define FOR_COUNTERS(A, n, x, hx, y, hy)  :: A(n, 2, x, hx, y, hy)
#elif CANDIDACIES == 2
#define FOR_COUNTERS(A, n, x, hx, y, hy)  :: A(n, 2, x, hx, y, hy) :: A(n, 3, x, hx, y, hy)
#elif CANDIDACIES == 3
#define FOR_COUNTERS(A, n, x, hx, y, hy)  :: A(n, 2, x, hx, y, hy) :: A(n, 3, x, hx, y, hy) :: A(n, 4, x, hx, y, hy)
#else
#define FOR_COUNTERS(A, n, x, hx, y, hy) \
  :: A(n, 2, x, hx, y, hy) :: A(n, 3, x, hx, y, hy) :: A(n, 4, x, hx, y, hy) :: A(n, 5, x, hx, y, hy)
#endif
#define FOR_PARTNERS(A, n, x, y) \
  FOR_COUNTERS(A, n, x, STAY, y, OUT)  FOR_COUNTERS(A, n, x, OUT, y, STAY)  FOR_COUNTERS(A, n, x, STAY, y, STAY) \
  FOR_COUNTERS(A, n, x, JOIN, y, OUT)  FOR_COUNTERS(A, n, x, OUT, y, JOIN)  FOR_COUNTERS(A, n, x, JOIN, y, JOIN) \
  FOR_COUNTERS(A, n, x, JOIN, y, STAY) FOR_COUNTERS(A, n, x, STAY, y, JOIN)

#define FOR_NODES(A, a)          :: A(a, 0) :: A(a, 1) :: A(a, 2)
#define FOR_NODES_AND(A, a, k)   :: A(a, 0, k) :: A(a, 1, k) :: A(a, 2, k)
#define FOR_FETCH(A, r)          :: A(r, 0, 1) :: A(r, 0, 2) :: A(r, 1, 0) :: A(r, 1, 2) :: A(r, 2, 0) :: A(r, 2, 1)

#define ROUNDS(s) \
  FOR_NODES(promise_lost, s) FOR_NODES_AND(promise, s, 0) FOR_NODES_AND(promise, s, 1) \
  FOR_NODES(propose, s) FOR_NODES(accept, 2*s) :: commit(s)
#if MOVES
#define STATE_ROUND(s)   FOR_NODES(propose_state, s) FOR_NODES(accept, 2*s+1) :: commit_state(s) LEARNING(2*s+1)
#else
#define STATE_ROUND(s)
#endif
#define LEARNING(r)      FOR_NODES(learn_commit, r) FOR_NODES(learn_heard, r) FOR_FETCH(learn_fetched, r)
#define FOLLOWING(s)     STATE_ROUND(s) LEARNING(2*s)

inline first_view() {
  top = 1;
  view_inc[0] = 63;
  owner[0] = NOBODY;
  inc = 0;
  used = 2;
  if
  :: COLD -> fresh[0] = 1; fresh[1] = 1; fresh[2] = 1
  :: else ->
     epoch[1] = 4 + COORDINATOR;
     phase[1] = LEADING;
     live[1] = 1;
     members[1] = ALL;
     view_inc[1] = 0;
     accepted_by[2] = ALL;
     committed[2] = 1;
     owner[2] = 0;
     name_owner(0);
     generation[2] = MOVES;
     i = 0;
     do
     :: i < N ->
        promised[i] = epoch[1]; accepted[i] = 2; stored[i] = (RESTARTS > 0 -> 2 : 0); known[i] = 2; i++
     :: else -> break
     od;
     holding[0] = (TICKS > 0);
     i = 0
  fi
}

active proctype cluster() {
  d_step { first_view() };
  do
  :: SERVES(0) + SERVES(1) + SERVES(2) > 1 -> must(false, "I1: two nodes serve\n")
  FOR_PARTNERS(begin, 0, 1, 2)
  FOR_PARTNERS(begin, 1, 0, 2)
  FOR_PARTNERS(begin, 2, 0, 1)
  FOLLOWING(1)
  ROUNDS(2) FOLLOWING(2)
#if CANDIDACIES > 1
  ROUNDS(3) FOLLOWING(3)
#endif
#if CANDIDACIES > 2
  ROUNDS(4) FOLLOWING(4)
#endif
#if CANDIDACIES > 3
  ROUNDS(5) FOLLOWING(5)
#endif
#if RESTARTS
  :: restart(0, NEWEST) :: restart(1, NEWEST) :: restart(2, NEWEST)
  :: restart(0, OLDER) :: restart(1, OLDER) :: restart(2, OLDER)
#if WIPES
  :: restart(0, NOTHING) :: restart(1, NOTHING) :: restart(2, NOTHING)
#endif
#endif
#if TICKS
  :: acknowledge(0, 1) :: acknowledge(0, 2) :: acknowledge(1, 0) :: acknowledge(1, 2) :: acknowledge(2, 0) :: acknowledge(2, 1)
  :: acquire(0) :: acquire(1) :: acquire(2)
  :: tick()
#endif
  od
}
