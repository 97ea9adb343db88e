/*
 * Eviction never revokes less.
 *
 * An issuer with a log and a backup, a holder who signs in and gets a token, a
 * thief whose token says whatever rsq he likes, and one verifier: a table with a
 * cap and a low-water mark that follows frames, loads snapshots, evicts, expires
 * and restarts, in any order. A reader checks both tokens at any moment.
 *
 * The claim is the three assertions in judge(). What the verifier owes is kept
 * apart from the table and never forgotten: each entry that it has been told of,
 * and that was committed after the holder authenticated, is owed on his token;
 * absolute and quarantine entries are owed on the thief's.
 *
 * Each rule can be taken out with -DNAME; model_test.go takes out each in turn,
 * and the claim must then break.
 */

#define SEQS 7   /* numbers of entries, in all epochs */
#define ROOM 1   /* ordinary entries that the table may hold */
#define SPACE 1  /* absolute and quarantine entries that it may hold */
#define TOP 15   /* above every number: what the thief writes into rsq */
#ifndef ENTRIES
#define ENTRIES 3
#endif

/* What an entry is about: a handle and its flags. */
#define SUBJECT 0  /* ordinary, on the user of the honest token */
#define OTHER 1    /* ordinary, on somebody else: it only takes room */
#define FORGED 2   /* absolute, on the jti of the thief's token */
#define STOLEN 3   /* absolute, on the stolen kid: never expires */
#define SUSPECT 4  /* quarantine of the kid */
#define KINDS 5
#define ordinary(k) (k < FORGED)

/* The issuer. */
byte log[SEQS];    /* kind + 1 of each entry; 0 where a number was left out */
bit bites[SEQS];   /* committed after the holder authenticated */
byte epoch = 1, head, given;  /* given: the highest number ever used */
byte validFrom;    /* seq of the last revocation of SUBJECT, as its row says */
byte backupHead, backupValidFrom;
byte entries;

/* Time: 0 and 1 are within the life of a token, 2 is beyond the retention. */
byte now;

/* The holder. */
bit authenticated, minted;
byte born, rsq;

/* The verifier's table, and what is on its disk. */
typedef Table {
	byte slot[KINDS];  /* seq of the newest entry of each kind; 0: none */
	byte low, at, epoch;
	bit loaded, flooded;
	bit owesHonest, owesForged, owesStolen, owesProof
}
Table t, disk;
byte late;  /* a mark that is still to be raised; only where a rule is taken out */

inline raise(n) {
#ifdef MARK_NOT_RAISED
	skip
#elif defined(MARK_AFTER_DROP)
	if :: n > t.low -> late = n :: else fi
#else
	if :: n > t.low -> t.low = n :: else fi
#endif
}

inline drop(k) {
	raise(t.slot[k]);
	t.slot[k] = 0
}

/* oldest drops the ordinary entry with the lowest number. */
inline oldest() {
	k = TOP; n = 0;
	do
	:: n < FORGED && t.slot[n] > 0 && (k == TOP || t.slot[n] < t.slot[k]) -> k = n; n++
	:: n < FORGED && !(t.slot[n] > 0 && (k == TOP || t.slot[n] < t.slot[k])) -> n++
	:: n == FORGED -> break
	od;
	drop(k); k = 0; n = 0
}

#define many() ((t.slot[SUBJECT] > 0) + (t.slot[OTHER] > 0))
#define kept() ((t.slot[FORGED] > 0) + (t.slot[STOLEN] > 0) + (t.slot[SUSPECT] > 0))

/* put adds the entry with number s, unless the mark says that it is gone. */
inline put(s) {
	if
	:: log[s] == 0 -> skip
	:: log[s] > 0 && ordinary(log[s] - 1) && s <= t.low -> skip
#ifdef PUT_LOWERS
	:: log[s] > 0 && !(ordinary(log[s] - 1) && s <= t.low) -> t.slot[log[s] - 1] = s
#else
	:: log[s] > 0 && !(ordinary(log[s] - 1) && s <= t.low) ->
		if :: t.slot[log[s] - 1] < s -> t.slot[log[s] - 1] = s :: else fi
#endif
	fi;
	if :: many() > ROOM -> oldest() :: else fi;
#ifdef HELD_ARE_EVICTED
	if
	:: kept() > SPACE && t.slot[FORGED] > 0 -> drop(FORGED)
	:: else
	fi
#else
	if :: kept() > SPACE -> t.flooded = 1 :: else fi
#endif
}

/* owe notes that the verifier has been told of the entry with number s. */
inline owe(s) {
	if
	:: log[s] == SUBJECT + 1 && bites[s] -> t.owesHonest = 1
	:: log[s] == FORGED + 1 -> t.owesForged = 1
	:: log[s] == STOLEN + 1 -> t.owesStolen = 1
	:: log[s] == SUSPECT + 1 -> t.owesProof = 1
	:: else
	fi
}

/* append commits an entry: its number is taken in the same transaction. */
inline append(kind) {
	head++;
	log[head] = kind + 1;
	bites[head] = authenticated;
	if :: head > given -> given = head :: else fi;
	if :: kind == SUBJECT -> validFrom = head :: else fi;
	entries++
}

active proctype issuer() {
	do
	:: atomic { entries < ENTRIES && head + 1 < SEQS ->
		if
		:: append(SUBJECT)
		:: append(OTHER)
		:: append(FORGED)
		:: append(STOLEN)
		:: append(SUSPECT)
		fi }
	:: atomic { epoch == 1 && head > backupHead -> backupHead = head; backupValidFrom = validFrom }
	:: atomic { epoch == 1 && head > backupHead && given + 3 < SEQS ->
		/* The database comes back from the backup, and begins an epoch. */
		epoch = 2;
		validFrom = backupValidFrom;
		head = backupHead;
		do
		:: backupHead < given -> backupHead++; log[backupHead] = 0; bites[backupHead] = 0
		:: else -> break
		od;
#ifdef EPOCH_GOES_ON
		head++;
#else
		head = given + 1;
#endif
		given = (head > given -> head : given) }
	:: now < 2 -> now++
	od
}

/*
 * The holder signs in and his session mints once. What a session may do after a
 * restore is the matter of issuer/restored_test.go: here he mints before it.
 */
active proctype holder() {
	atomic { epoch == 1 -> born = head; authenticated = 1 };
#ifdef TWO_STATEMENTS
	atomic { epoch == 1 && born >= validFrom };
	atomic { epoch == 1 -> rsq = head; minted = 1 }
#elif defined(BORN_IGNORED)
	atomic { epoch == 1 -> rsq = head; minted = 1 }
#else
	atomic { epoch == 1 && born >= validFrom -> rsq = head; minted = 1 }
#endif
}

active proctype verifier() {
	byte i, k, n;
end:	do
#ifdef MARK_AFTER_DROP
	:: atomic { late > 0 -> t.low = late; late = 0 }
#endif
	/* A frame, that may overlap what is held: entry by entry, then the head. */
	:: atomic { late == 0 && t.loaded && t.epoch == epoch && t.at < head ->
#ifdef GAP_APPLIED
		i = t.at + 2;
#else
		i = t.at + 1;
#endif
		do :: i > 1 -> i-- :: break od };
		do
		:: atomic { i <= t.at + 1 && i <= head && t.epoch == epoch -> put(i); i++ }
		:: atomic { i > t.at + 1 && t.epoch == epoch ->
#ifdef GAP_APPLIED
			do :: t.at + 1 < i -> t.at++; owe(t.at) :: else -> break od;
#else
			t.at++; owe(t.at);
#endif
			i = 0; break }
		:: atomic { t.epoch != epoch -> i = 0; break }  /* the stream ended */
#ifdef GAP_APPLIED
		:: atomic { i > head && t.epoch == epoch -> i = 0; break }
#endif
		od
	/* A snapshot: all that the issuer holds above a mark of its own. */
	:: atomic { late == 0 && (!t.loaded || t.epoch != epoch || t.at < head) ->
#ifdef SNAPSHOT_REPLACES
		k = 0;
		do :: k < KINDS -> t.slot[k] = 0; k++ :: k == KINDS -> k = 0; break od;
#endif
		i = 0;
		do :: i < head -> i++ :: break od;  /* the issuer's mark */
#ifndef SNAPSHOT_MARK_IGNORED
		if :: i > t.low -> t.low = i :: else fi;
#endif
		n = i; i = 1;
		do
		:: i <= head ->
			if
			:: log[i] > 0 && (i > n || !ordinary(log[i] - 1)) ->
				if :: t.slot[log[i] - 1] < i -> t.slot[log[i] - 1] = i :: else fi
			:: else
			fi;
			owe(i); i++
		:: i > head -> break
		od;
		if :: many() > ROOM -> oldest() :: else fi;
		if :: kept() > SPACE -> t.flooded = 1 :: else fi;
		t.loaded = 1; t.at = head; t.epoch = epoch; i = 0; n = 0 }
	/* Expiry. Time is that of applied frames. */
	:: atomic { late == 0 && many() > 0 -> oldest() }
#ifdef OWN_CLOCK
	:: atomic { t.slot[FORGED] > 0 -> t.slot[FORGED] = 0 }
#else
	:: atomic { now == 2 && t.slot[FORGED] > 0 -> t.slot[FORGED] = 0 }
#endif
#ifdef STOLEN_EXPIRES
	:: atomic { now == 2 && t.slot[STOLEN] > 0 -> t.slot[STOLEN] = 0 }
#endif
	:: atomic { now == 2 && t.slot[SUSPECT] > 0 -> t.slot[SUSPECT] = 0 }
#ifndef NO_DISK
	/* The disk, and a restart from it. */
	:: d_step { late == 0 && t.loaded && !disk.loaded -> 
		disk.slot[0] = t.slot[0]; disk.slot[1] = t.slot[1]; disk.slot[2] = t.slot[2];
		disk.slot[3] = t.slot[3]; disk.slot[4] = t.slot[4];
		disk.low = t.low; disk.at = t.at; disk.epoch = t.epoch; disk.loaded = 1; disk.flooded = t.flooded;
		disk.owesHonest = t.owesHonest; disk.owesForged = t.owesForged; disk.owesStolen = t.owesStolen; disk.owesProof = t.owesProof }
	:: d_step { late == 0 && disk.loaded ->
		t.slot[0] = disk.slot[0]; t.slot[1] = disk.slot[1]; t.slot[2] = disk.slot[2];
		t.slot[3] = disk.slot[3]; t.slot[4] = disk.slot[4];
#ifdef RESTART_FORGETS_MARK
		t.low = 0;
#else
		t.low = disk.low;
#endif
		t.at = disk.at; t.epoch = disk.epoch; t.loaded = 1; t.flooded = disk.flooded;
		t.owesHonest = disk.owesHonest; t.owesForged = disk.owesForged; t.owesStolen = disk.owesStolen; t.owesProof = disk.owesProof;
		disk.slot[0] = 0; disk.slot[1] = 0; disk.slot[2] = 0; disk.slot[3] = 0; disk.slot[4] = 0;
		disk.low = 0; disk.at = 0; disk.epoch = 0; disk.loaded = 0; disk.flooded = 0;
		disk.owesHonest = 0; disk.owesForged = 0; disk.owesStolen = 0; disk.owesProof = 0 }
#endif
	od
}

#define refusesAll (!t.loaded || t.flooded)
#define refusesHonest(low) (refusesAll || rsq < low || t.slot[SUBJECT] > rsq)
#define refusesForged (refusesAll || t.slot[FORGED] > 0 || t.slot[STOLEN] > 0)

/* judge is the claim: what is owed at the start of a check is refused. */
inline judge(mark, honest, forged, stolen, proof) {
	assert(!(minted && honest) || refusesHonest(mark));
	assert(!((forged && now < 2) || stolen) || refusesForged);
	assert(!(proof && now < 2) || refusesForged || t.slot[SUSPECT] > 0)
}

active proctype reader() {
#ifdef SPLIT_READ
	byte mark; bit honest, forged, stolen, proof;
end:	do
	:: atomic { mark = t.low; honest = t.owesHonest; forged = t.owesForged; stolen = t.owesStolen; proof = t.owesProof };
	   atomic { judge(mark, honest, forged, stolen, proof); mark = 0; honest = 0; forged = 0; stolen = 0; proof = 0 }
	od
#else
end:	do
	:: d_step { judge(t.low, t.owesHonest, t.owesForged, t.owesStolen, t.owesProof) }
	od
#endif
}
