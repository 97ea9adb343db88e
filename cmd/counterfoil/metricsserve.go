package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/keyring"
)

// issuerCollectors are what an issuer tells of itself.
func issuerCollectors(iss *issuer.Issuer) []prometheus.Collector {
	now := func() map[string]issuer.Status { return map[string]issuer.Status{"": iss.Status()} }
	return []prometheus.Collector{
		collect("", issuerFigures(), now),
		collect("alg", keyFigures(), func() map[string]keyCounts { return countKeys(iss.Status().Keys) }),
	}
}

func issuerFigures() []figure[issuer.Status] {
	type status = issuer.Status
	const (
		signIns, signInsHelp     = "counterfoil_sign_ins_total", "Attempts at signing in, by result."
		refreshes, refreshesHelp = "counterfoil_refreshes_total", "Refresh tokens presented, by what they were."
	)
	return []figure[status]{
		counter(signIns, signInsHelp, func(s status) uint64 { return s.Sessions.SignIns }).with("result", "done"),
		counter(signIns, signInsHelp, func(s status) uint64 { return s.Sessions.SignInsFailed }).with("result", "failed"),
		counter(signIns, signInsHelp, func(s status) uint64 { return s.Sessions.SignInsLimited }).with("result", "limited"),
		counter(refreshes, refreshesHelp, func(s status) uint64 { return s.Sessions.Refreshes }).with("kind", "present"),
		counter(refreshes, refreshesHelp, func(s status) uint64 { return s.Sessions.Repeats }).with("kind", "repeated"),
		counter(refreshes, refreshesHelp, func(s status) uint64 { return s.Sessions.Strangers }).with("kind", "stranger"),
		counter(refreshes, refreshesHelp, func(s status) uint64 { return s.Sessions.Thefts }).with("kind", "theft"),
		counter(refreshes, refreshesHelp, func(s status) uint64 { return s.Sessions.Impossible }).with("kind", "impossible"),
		counter("counterfoil_sign_outs_total", "Sign-outs, and revocations by clients.", func(s status) uint64 { return s.Sessions.Revocations }),
		counter("counterfoil_issuer_forged_tokens_total", "Access tokens with a wrong tag that the issuer itself was shown.", func(s status) uint64 { return s.Sessions.Forged }),

		gauge("counterfoil_log_epoch", "Epoch of the revocation log.", func(s status) uint64 { return s.Epoch }),
		gauge("counterfoil_log_head", "Number of the last revocation.", func(s status) uint64 { return s.Head }),
		gauge("counterfoil_log_as_of_timestamp_seconds", "When this node last read the head of the log.", func(s status) float64 { return unixSeconds(s.AsOf) }),
	}
}

// keyCounts are the keys of one algorithm by their state.
type keyCounts map[keyring.State]int

func countKeys(infos []keyring.Info) map[string]keyCounts {
	all := map[string]keyCounts{}
	for _, info := range infos {
		alg := string(info.Algorithm)
		if all[alg] == nil {
			all[alg] = keyCounts{}
		}
		all[alg][info.State]++
	}
	return all
}

func keyFigures() (list []figure[keyCounts]) {
	for _, state := range []keyring.State{keyring.Standby, keyring.Active, keyring.Retiring, keyring.Retired, keyring.Killed} {
		list = append(list, gauge("counterfoil_keys", "Signing keys, by algorithm and state.", func(c keyCounts) int { return c[state] }).with("state", string(state)))
	}
	return list
}
