package verifier

import "sync/atomic"

// A proofState is how far a token has come with the auditor.
type proofState uint8

const (
	unreported proofState = iota // to be reported at its next use
	reported                     // on its way to the auditor
	unsampled                    // not one of the share that is reported
	exempt                       // its key makes no tags
	proved                       // the notary made its tag
	disproved                    // it did not; the issuer has not looked at the token yet
	exhibited                    // it did not, and the issuer has seen the token
)

// A proof is the state of one token. All who hold the token share it: what is
// remembered of it, and the report that is under way.
type proof struct {
	final bool // it is one of finalProofs, and never changes
	state atomic.Uint32
}

func (p *proof) is() proofState    { return proofState(p.state.Load()) }
func (p *proof) set(to proofState) { p.state.Store(uint32(to)) }

// finalProofs are shared by all tokens in a state that nothing follows, so that
// looking at them costs a remembered token no memory of its own.
var finalProofs = func() (all [exhibited + 1]*proof) {
	for state := range all {
		all[state] = &proof{final: true}
		all[state].set(proofState(state))
	}
	return all
}()

// settle returns the shared proof of a final state, or p itself.
func (p *proof) settle() *proof {
	switch state := p.is(); state {
	case unsampled, exempt, proved, exhibited:
		return finalProofs[state]
	}
	return p
}
