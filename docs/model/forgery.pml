/*
 * A valid signature and a wrong tag imply a forgery, or a bug of ours.
 *
 * Two issuer nodes with a notary each, an honest session of two tokens (the
 * second by refresh), a thief who copies the signing key at any moment, a liar
 * with a verifier's credential, one honest verifier that reports, evicts and
 * restarts, and the automatic answer, whose steps any node takes up where another
 * crashed. With -DOPERATOR somebody changes the notary's secret under way, also
 * in the wrong order.
 *
 * What is claimed stands as assertions:
 *   A  proof of forgery is about a forged token, or an operator has erred;
 *   B  the answer begins only if there is one, also when an operator has erred;
 *   C  a forged token is never proved, is never taken for seen before the auditor
 *      has judged it, and does not pass once its key is in quarantine;
 *   D  steps come in order: quarantine, another key signs, the old one is killed;
 *      one change of keys for each theft, one automatic kill in all;
 *   E  an honest token is refused only under quarantine with no auditor to be
 *      had, when a thief copied its jti, or after its time;
 *   F  where everything has come to rest, what was judged has been answered.
 *
 * Each rule can be taken out with -DNAME; model_test.go takes out each in turn,
 * and the claim must then break. KNOWS_SECRET is no rule but a limit: the thief
 * has the notary's secret too.
 */

/* How much may happen in one run; a scenario sets some higher. */
#ifndef USES
#define USES 1      /* of each token at the verifier */
#endif
#ifndef RESTARTS
#define RESTARTS 0  /* of the verifier */
#endif
#ifndef OUTAGES
#define OUTAGES 0   /* of the auditors */
#endif
#ifndef THEFTS
#define THEFTS 1
#endif
#ifndef FORGERIES
#define FORGERIES 1 /* with one stolen key */
#endif
#ifndef REFRESHES
#define REFRESHES 1 /* of the session */
#endif
#ifndef CRASHES
#define CRASHES 0   /* of a node, between two steps */
#endif
#ifndef LIES
#define LIES 0
#endif
#ifndef RUNNING
#define RUNNING 1   /* nodes */
#endif

#define NODES 2
#define KIDS 3
#define TOKENS 5
#define H1 0  /* honest, by sign-in */
#define H2 1  /* honest, by refresh, after which H1 is not the newest */
#define F1 2  /* forged */
#define F2 3  /* forged later, with the same key or the next */
#define LIE 4 /* signed by nobody */
#define honest(t) (t < F1)
#define forged(t) (t == F1 || t == F2)

/* How a forgery was made. */
#define RANDOM 1     /* any jti */
#define COPIED 2     /* the jti of H1 before other claims */
#define OTHERTYPE 3  /* the whole payload of H1 under another typ */

#define OLD 1
#define NEW 2

byte first[NODES] = OLD, has[NODES] = OLD;  /* the notaries' secrets: a set of two */
byte kept = OLD;     /* secrets by which a probe of the last token life was tagged */
bit erred;           /* an operator broke the order */
bit away;            /* the auditors cannot be reached */
byte outages;

byte signs;          /* the kid that signs */
byte changes;        /* of it */
byte stolen = KIDS;  /* the newest kid of which the thief has the key */
byte thefts;

/* Tokens. */
byte kid[TOKENS] = KIDS, tagger[TOKENS], made[TOKENS], how[TOKENS];
bit live[TOKENS], over[TOKENS];
bit flight;          /* a mint is under way: */
byte flightKid;

/* The verifier. */
bit queued[TOKENS], seen[TOKENS], proved[TOKENS], asked[TOKENS];
bit judged[TOKENS];  /* the auditor has given a verdict; not forgotten */
byte applied, used[TOKENS], restarts;

/* The log and the incidents, in the store. */
#define NOTHING 0
#define JTI 1
#define QUARANTINE 2
#define KILL 3
typedef Entry { byte what, which }
Entry log[8];
byte head;
byte incident[KIDS];  /* 0 none, 1 found, 2 another key signs, 3 killed */
byte kills;
bit person;           /* the answer waits for one */
bit barred;           /* the probe has failed */
byte crashes, lies;

/* The tag of t is right for the auditor of node n. */
#define matches(t) (honest(t) || made[t] == t || tagOf(t))
#ifdef TAG_WITHOUT_HEADER
#define tagOf(t) (how[t] == OTHERTYPE)
#elif defined(TAG_WITHOUT_CLAIMS)
#define tagOf(t) (how[t] == COPIED)
#else
#define tagOf(t) (0)
#endif
#define right(n, t) ((has[n] & tagger[t]) != 0 && matches(t))

/* A probe of each secret in use within the last token life is right here. */
#ifdef PROBE_IGNORED
#define probed(n) (1)
#elif defined(PROBES_NOT_KEPT)
#define probed(n) ((has[n] & first[n]) != 0)
#else
#define probed(n) ((kept & ~has[n]) == 0)
#endif

inline append(entry, about) {
	log[head].what = entry; log[head].which = about; head++
}

/* The honest client. */
inline mint(t) {
	atomic { flight = 1; flightKid = signs };  /* one snapshot: who signs, who asks */
	if
	:: atomic { tagger[t] = first[0]; made[t] = t }
	:: atomic { first[1] != first[0] -> tagger[t] = first[1]; made[t] = t }
	fi;
	atomic { kid[t] = flightKid; live[t] = 1; flight = 0; flightKid = 0 }
}

active proctype client() {
	mint(H1);
	if
	:: REFRESHES > 0 -> mint(H2); over[H1] = 1
	:: skip
	fi
}

active proctype time() {
end:	do
	:: atomic { live[H1] -> live[H1] = 0; over[H1] = 1 }
	:: atomic { live[H2] -> live[H2] = 0; over[H2] = 1 }
	od
}

active proctype thief() {
	atomic { stolen = signs; thefts++ };
	atomic {
		kid[F1] = stolen;
		if
		:: how[F1] = RANDOM
		:: made[H1] == H1 && kid[H1] == stolen -> how[F1] = COPIED; tagger[F1] = tagger[H1]
		:: made[H1] == H1 && kid[H1] == stolen -> how[F1] = OTHERTYPE; tagger[F1] = tagger[H1]
		fi;
#ifdef KNOWS_SECRET
		tagger[F1] = OLD; how[F1] = RANDOM; made[F1] = F1;
#else
		made[F1] = H1;
#endif
		live[F1] = 1
	};
	if
	:: atomic { FORGERIES > 1 -> kid[F2] = stolen; how[F2] = RANDOM; made[F2] = H1; live[F2] = 1 }
	:: atomic { thefts < THEFTS && signs != stolen && incident[stolen] == 3 -> stolen = signs; thefts++;
		kid[F2] = stolen; how[F2] = RANDOM; made[F2] = H1; live[F2] = 1 }
	:: skip
	fi
}

/* The verifier: what it has applied decides; then the token is reported once. */
bit hitJTI[TOKENS], underQuarantine[KIDS], underKill[KIDS];

#ifdef DEDUP_BY_JTI
#define sameAs(t) (t != H1 && seen[H1] && made[t] == H1 && (how[t] == COPIED || how[t] == OTHERTYPE))
#else
#define sameAs(t) (0)
#endif
#define mustBeProved(t) (underQuarantine[kid[t]] && !proved[t])

inline refuse(t, excuse) {
	assert(!honest(t) || erred || (excuse))  /* E */
}

inline pass(t) {
	assert(honest(t) || !underQuarantine[kid[t]]);  /* C */
	assert(honest(t) || !seen[t] || judged[t]);     /* C */
	if
	:: sameAs(t) -> seen[t] = 1; assert(honest(t) || judged[t])  /* C */
	:: !sameAs(t) && !seen[t] && !queued[t] && (queued[H1] + queued[H2] + queued[F1] + queued[F2] < 2) ->
		queued[t] = 1;
#ifdef SEEN_BEFORE_ACKNOWLEDGED
		seen[t] = 1
#endif
	:: !sameAs(t) && !(!seen[t] && !queued[t] && (queued[H1] + queued[H2] + queued[F1] + queued[F2] < 2)) ->
#ifdef SEEN_BEFORE_ACKNOWLEDGED
		seen[t] = 1
#else
		skip  /* known, or no room: not marked, the next use tries again */
#endif
	fi
}

/* verdict is what the auditor of node n says of the record of t. */
inline verdict(n, t) {
	queued[t] = 0; seen[t] = 1; judged[t] = 1;
	if
	:: right(n, t) -> proved[t] = 1; assert(honest(t))  /* C */
	:: !right(n, t) -> asked[t] = 1
	fi
}

inline present(t) {
	used[t]++;
	if
	:: hitJTI[t] -> refuse(t, how[F1] == COPIED || how[F1] == OTHERTYPE)
	:: !hitJTI[t] && underKill[kid[t]] -> refuse(t, over[t])
#ifdef QUARANTINE_LETS_THROUGH
	:: !hitJTI[t] && !underKill[kid[t]] -> pass(t)
#else
	:: !hitJTI[t] && !underKill[kid[t]] && !mustBeProved(t) -> pass(t)
	:: !hitJTI[t] && !underKill[kid[t]] && mustBeProved(t) ->
		if
		:: away ->
#ifdef NO_VERDICT_PROVES
			proved[t] = 1; pass(t)
#else
			refuse(t, 1)
#endif
		:: !away -> verdict(0, t); if :: proved[t] -> pass(t) :: else -> refuse(t, 0) fi
		:: !away && has[1] != has[0] -> verdict(1, t); if :: proved[t] -> pass(t) :: else -> refuse(t, 0) fi
		fi
#endif
	fi
}

inline apply() {
	if
	:: log[applied].what == JTI ->
		hitJTI[log[applied].which] = 1;
		if :: how[log[applied].which] == COPIED || how[log[applied].which] == OTHERTYPE -> hitJTI[H1] = 1 :: else fi
	:: log[applied].what == QUARANTINE -> underQuarantine[log[applied].which] = 1
	:: log[applied].what == KILL -> underKill[log[applied].which] = 1
	fi;
	applied++
}

active proctype verifier() {
end:	do
	:: atomic { applied < head -> apply() }
	:: atomic { live[H1] && used[H1] < USES -> present(H1) }
	:: atomic { live[H2] && used[H2] < USES -> present(H2) }
	:: atomic { live[F1] && used[F1] < USES -> present(F1) }
	:: atomic { live[F2] && used[F2] < USES -> present(F2) }
	/* A restart forgets what was seen and proved, and nothing of the table. */
	:: atomic { restarts < RESTARTS && (seen[H1] || seen[F1]) -> restarts++;
		seen[0] = 0; seen[1] = 0; seen[2] = 0; seen[3] = 0;
		queued[0] = 0; queued[1] = 0; queued[2] = 0; queued[3] = 0;
		proved[0] = 0; proved[1] = 0; proved[2] = 0; proved[3] = 0 }
	od
}

active proctype reporter() {
	byte t;
end:	do
	:: atomic { !away && (queued[H1] || queued[H2] || queued[F1] || queued[F2]) ->
		if
		:: queued[H1] -> t = H1
		:: queued[H2] -> t = H2
		:: queued[F1] -> t = F1
		:: queued[F2] -> t = F2
		fi;
		if
		:: verdict(0, t)
		:: has[1] != has[0] -> verdict(1, t)
		fi;
		t = 0 }
#ifdef SEEN_BEFORE_ACKNOWLEDGED
	:: atomic { away && queued[F1] -> queued[F1] = 0 }  /* the report failed */
#endif
	od
}

active proctype outage() {
	if
	:: outages < OUTAGES -> away = 1; outages++; away = 0
	:: skip
	fi
}

/* found is the transaction by which the answer begins. */
inline found(n, t) {
	if
	:: probed(n) && !barred && incident[kid[t]] == 0 ->
		assert(forged(t));  /* B */
		incident[kid[t]] = 1;
		append(JTI, t);
		append(QUARANTINE, kid[t])
	:: !probed(n) -> barred = 1
	:: probed(n) && (barred || incident[kid[t]] > 0) -> skip
	fi
}

#ifdef SIGNATURE_NOT_CHECKED
#define signed(t) (1)
#else
#define signed(t) (t != LIE)
#endif
#ifdef TAG_NOT_CHECKED_AGAIN
#define proof(n, t) (signed(t))
#else
#define proof(n, t) (signed(t) && !right(n, t))
#endif

/* The probes of a secret go when the last token that it tagged has expired: what
   comes later proves nothing. */
#ifdef EXPIRED_PROVES
#define timely(t) (1)
#else
#define timely(t) (live[t])
#endif

/* evidence is a token shown to node n. */
inline evidence(n, t) {
	if
	:: timely(t) && proof(n, t) -> assert(forged(t) || erred); found(n, t)  /* A */
	:: else
	fi
}

/* The old key is killed when no newest token is under it, and no mint either. */
#ifdef KILLED_AT_ONCE
#define moved(k) (1)
#elif defined(NO_GRACE)
#define moved(k) (!newest(H1, k) && !newest(H2, k))
#else
#define moved(k) (!newest(H1, k) && !newest(H2, k) && !(flight && flightKid == k))
#endif
#define newest(t, k) (live[t] && !over[t] && kid[t] == k)

#if defined(KILLS_WITHOUT_LIMIT) || defined(STORED_STEP_NOT_COMPARED)
#define mayKill() (1)
#else
#define mayKill() (kills == 0 || person)
#endif
#ifdef STORED_STEP_NOT_COMPARED
#define stillAt(k, n) (1)
#else
#define stillAt(k, n) (incident[k] == n)
#endif

/* Issuer nodes: evidence comes in at either, and either goes on with an incident. */
proctype node(byte n) {
	byte k, step;
end:	do
	:: atomic { !away && asked[H1] -> asked[H1] = 0; evidence(n, H1) }
	:: atomic { !away && asked[H2] -> asked[H2] = 0; evidence(n, H2) }
	:: atomic { !away && asked[F1] -> asked[F1] = 0; evidence(n, F1) }
	:: atomic { !away && asked[F2] -> asked[F2] = 0; evidence(n, F2) }
	/* The liar shows a genuine token, or one that nobody signed. */
	:: atomic { !away && n == 0 && lies < LIES && live[H1] -> lies++; evidence(n, H1) }
	:: atomic { !away && n == 0 && lies < LIES -> lies++; kid[LIE] = 0; live[LIE] = 1; evidence(n, LIE) }
	/* Read where an incident stands, then act: in between another node may have. */
	:: atomic { step == 0 && incident[0] > 0 && incident[0] < 3 -> k = 0; step = incident[0] }
	:: atomic { step == 0 && incident[1] > 0 && incident[1] < 3 -> k = 1; step = incident[1] }
	:: atomic { step > 0 && crashes < CRASHES -> crashes++; step = 0; k = 0 }
	:: atomic { step == 1 ->
#ifdef ROTATES_FROM_ANY
		if :: signs + 1 < KIDS -> signs++; changes++; assert(changes <= thefts) :: else fi;
#else
		if :: signs == k && signs + 1 < KIDS -> signs++; changes++; assert(changes <= thefts) :: else fi;
#endif
		step = 10 }
	:: atomic { step == 10 && crashes < CRASHES -> crashes++; step = 0; k = 0 }
	:: atomic { step == 10 -> if :: incident[k] == 1 -> incident[k] = 2 :: else fi; step = 0; k = 0 }
#ifdef KILLED_BEFORE_ANOTHER_SIGNS
	:: atomic { step == 1 && kills == 0 -> kills++; incident[k] = 3; append(KILL, k); assert(signs != k); step = 0; k = 0 }  /* D */
#endif
	:: atomic { step == 2 && mayKill() && moved(k) ->
		if
		:: stillAt(k, 2) ->
			assert(signs != k);  /* D */
			kills = kills + 1 - person; incident[k] = 3; append(KILL, k);
			assert(kills <= 1)  /* D */
		:: else
		fi;
		step = 0; k = 0 }
	/* Why it may not go on is looked at again later; a person decides on a second kill. */
	:: atomic { step == 2 && kills > 0 && incident[k] != 2 -> step = 0; k = 0 }
	:: atomic { step == 2 && kills > 0 && incident[k] == 2 && !person -> person = 1; step = 0; k = 0 }
	od
}

#ifdef OPERATOR
#define inUse(s) ((live[H1] && tagger[H1] == s) || (live[H2] && tagger[H2] == s) || flight || first[0] == s || first[1] == s)

/* The order is: a second secret everywhere, then first, and the old one goes when
   no token has its tag. Any other order is an error; a node that comes to tag by
   a secret keeps a probe by it first. */
inline change(n) {
	if
	:: (has[n] & NEW) == 0 -> has[n] = has[n] | NEW
	:: (has[n] & NEW) == 0 -> erred = 1; first[n] = NEW; has[n] = NEW; kept = kept | NEW
	:: (has[n] & NEW) != 0 && first[n] == OLD ->
		if :: (has[1 - n] & NEW) == 0 -> erred = 1 :: else fi;
		first[n] = NEW; kept = kept | NEW
	:: first[n] == NEW && (has[n] & OLD) != 0 ->
		if :: inUse(OLD) -> erred = 1 :: else fi;
		has[n] = NEW
	fi
}

active proctype operator() {
end:	do
	:: atomic { has[0] != NEW -> change(0) }
	:: atomic { has[1] != NEW -> change(1) }
	:: atomic { (kept & OLD) != 0 && !inUse(OLD) -> kept = kept & NEW }
	od
}
#endif

active proctype rest() {
	timeout ->
	assert(barred || !judged[F1] || proved[F1] || incident[kid[F1]] == 3)  /* F */
}

init {
	atomic { run node(0); if :: RUNNING > 1 -> run node(1) :: else fi }
}
