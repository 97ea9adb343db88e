package forgery

import (
	"strings"

	"github.com/counterfoil/counterfoil/issuer/store"
)

// An advice is what the person who was woken reads: what happened and was done, and
// what there is to do. KID in it stands for the key.
type advice struct{ what, next string }

var advices = map[Kind]advice{
	KindForged: {
		"somebody has this signing key: he signed a token that the notary did not tag",
		"counterfoil incident show KID; find where the key was copied: After a theft, docs/operations.md",
	},
	KindCanary: {
		"somebody signed with a planted key: the place where it lay was read; no key of yours is changed",
		"treat what else lay there as stolen; counterfoil keys canary --remove KID, and plant another",
	},
	KindQuarantined: {
		"tokens of this key that are seen for the first time are proved before they pass; another key will sign",
		"nothing; if this comes again, the answer does not go on: is the notary away, or an issuer without its key-encryption key?",
	},
	KindRotated: {
		"another key signs in place of this one; clients move to it when they renew",
		"nothing: the old key is given up by itself when they have",
	},
	KindKilled: {
		"this key is given up: every verifier refuses what it signed",
		"nothing, if it was found out where the key was copied: After a theft, docs/operations.md",
	},
	KindHeld: {
		"this key is not given up, since another was within a day; its quarantine holds",
		"counterfoil incident show KID; if the forgery is real: counterfoil keys kill KID --wait",
	},
	KindClosed: {
		"the incident is over: a person said so, or its key has retired",
		"nothing; another forged token begins it anew",
	},
	KindMisconfigured: {
		"notaries, or an issuer and its notary, have different secrets: no token is called forged, and no answer goes on",
		"give each the same notary.key: After misconfigured, docs/operations.md; counterfoil incident show KID",
	},
	KindRecovered: {
		"the notaries have agreed for long enough: forged tokens are answered again",
		"nothing",
	},
	KindBlind: {
		"forged tokens go unnoticed: no notary has checked a tag on this node for a minute",
		"is the notary running, and does this issuer reach it? counterfoil_notary_probes_total, and the log of the notary",
	},
	KindUnshown: {
		"a verifier was told that a tag is wrong, and has not shown the token since: it may be forged, and passes there; or its credential is in other hands, and made the record up",
		"does POST /revocation/seen/evidence come through from this reporter? its log and its clock; else give it another credential",
	},
	KindLate: {
		"a verifier has shown a token with a wrong tag after the end of the token, which proves nothing: forged, with its report held back, or tagged under a secret that is not used any more",
		"was a notary's secret taken out of use within the hour? else what kept the reports of this reporter back? access logs, and counterfoil keys rotate if in doubt",
	},
	KindSeeing: {
		"tags are checked again on this node",
		"nothing",
	},
}

// Advice that depends on more than the kind.
const (
	adviceByHand = "nothing is done by itself, as serve.forgery.answer is alarm: counterfoil incident show KID, then counterfoil keys kill KID --wait"
	adviceBarred = "nothing is done, as the revocation log takes no entry: see the issuer's log; until it does, stop the services where this key is accepted"
	adviceDrill  = "nothing: this is a drill"
	adviceCut    = "a verifier is connected, and nothing that it reports of tokens is answered: forged ones go unnoticed there"
	adviceUncut  = "the reports of this verifier are answered again"
	adviceWay    = "let POST /revocation/seen and /revocation/seen/evidence through from this verifier; its log says how they fail; counterfoil feed status"
)

// adviceOn returns what to say about an alarm.
func (d *Desk) adviceOn(k Kind, s *step) advice {
	a := advices[k]
	switch {
	case s.drill():
		a.next = adviceDrill
	case s.barred:
		a.next = adviceBarred
	case k == KindForged && d.cfg.Answer == AlarmOnly:
		a.next = adviceByHand
	case k == KindBlind && s.instance != "":
		a = advice{adviceCut, adviceWay}
	case k == KindSeeing && s.instance != "":
		a.what = adviceUncut
	case k == KindKilled && s.incident.State == store.IncidentKilled && s.incident.Automatic:
		a.what += ", and no session ended"
	}
	a.next = strings.ReplaceAll(a.next, "KID", s.incident.KeyID)
	return a
}
