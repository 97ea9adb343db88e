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
		collect("", append(issuerFigures(), forgeryFigures()...), now),
		collect("alg", keyFigures(), func() map[string]keyCounts { return countKeys(iss.Status().Keys) }),
	}
}

func issuerFigures() []figure[issuer.Status] {
	type status = issuer.Status
	const (
		signIns, signInsHelp     = "counterfoil_sign_ins_total", "Attempts at signing in, by result."
		refreshes, refreshesHelp = "counterfoil_refreshes_total", "Refresh tokens presented, by what they were."
		verifiers, verifiersHelp = "counterfoil_verifiers", "Instances of verifiers heard within the longest token life, on all nodes."
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

		gauge(verifiers, verifiersHelp, func(s status) int { return s.Verifiers.Connected }).with("state", "connected"),
		gauge(verifiers, verifiersHelp, func(s status) int { return s.Verifiers.Silent }).with("state", "silent"),
		gauge("counterfoil_verifiers_behind", "Connected verifiers that have not applied the whole log.", func(s status) int { return s.Verifiers.Behind }),
		gauge("counterfoil_verifiers_forked", "Verifiers that hold another history of the log.", func(s status) int { return s.Verifiers.Forked }),
		gauge("counterfoil_verifiers_unanswered", "Connected verifiers whose reports of tokens get no answer: forged tokens go unnoticed there. counterfoil feed status names them.", func(s status) int { return s.Verifiers.Unanswered }),
		gauge("counterfoil_verifiers_partial", "Connected verifiers that report a share of tokens, or none.", func(s status) int { return s.Verifiers.Partial }),
		gauge("counterfoil_verifiers_oldest_ack_seconds", "Since the least recent connected verifier was heard.", func(s status) float64 { return seconds(s.Verifiers.Oldest) }),

		gauge("counterfoil_log_epoch", "Epoch of the revocation log.", func(s status) uint64 { return s.Epoch }),
		gauge("counterfoil_log_head", "Number of the last revocation.", func(s status) uint64 { return s.Head }),
		gauge("counterfoil_log_as_of_timestamp_seconds", "When this node last read the head of the log.", func(s status) float64 { return unixSeconds(s.AsOf) }),
	}
}

// forgeryFigures are what becomes of tokens that verifiers have seen, of evidence, and
// of what was found forged.
func forgeryFigures() []figure[issuer.Status] {
	type status = issuer.Status
	const (
		records, recordsHelp   = "counterfoil_seen_records_total", "Records of seen tokens, by what the auditor found."
		evidence, evidenceHelp = "counterfoil_evidence_total", "Tokens that were sent as evidence, by what they proved to be."
		steps, stepsHelp       = "counterfoil_answers_total", "Steps of answers to forgeries that this node took. Any but in a drill is a stolen key: counterfoil incident list. After held a person has to kill: counterfoil keys kill KID."
		probes, probesHelp     = "counterfoil_notary_probes_total", "Probes of the notary, one a second, by result. Where none passes, forged tokens go unnoticed, and soon none is minted."
		alarms, alarmsHelp     = "counterfoil_alarms_total", "Attempts at telling the webhook, by result. Where only failed grows, its receiver refuses or is away: counterfoil incident show KID says why."
		held, heldHelp         = "counterfoil_forgery_held", "What is kept about reporters and evidence, by kind."
		peak, peakHelp         = "counterfoil_forgery_held_peak", "The most that was kept about reporters and evidence, by kind."
		most, mostHelp         = "counterfoil_forgery_held_limit", "The most that may be kept about reporters and evidence, by kind."
	)
	return []figure[status]{
		counter(records, recordsHelp, func(s status) uint64 { return s.Forgeries.Right }).with("tag", "right"),
		counter(records, recordsHelp, func(s status) uint64 { return s.Forgeries.Wrong }).with("tag", "wrong"),
		counter("counterfoil_seen_limited_total", "Reports and pieces of evidence refused for their number.", func(s status) uint64 { return s.Forgeries.Limited }),
		counter(evidence, evidenceHelp, func(s status) uint64 { return s.Forgeries.Genuine }).with("verdict", "genuine"),
		counter(evidence, evidenceHelp, func(s status) uint64 { return s.Forgeries.Unsigned }).with("verdict", "unsigned"),
		counter(evidence, evidenceHelp, func(s status) uint64 { return s.Forgeries.Unknown }).with("verdict", "unknown"),
		counter(evidence, evidenceHelp, func(s status) uint64 { return s.Forgeries.Forged }).with("verdict", "forged"),
		counter(evidence, evidenceHelp, func(s status) uint64 { return s.Forgeries.Canaries }).with("verdict", "canary"),
		counter(steps, stepsHelp, func(s status) uint64 { return s.Forgeries.Quarantined }).with("step", "quarantine"),
		counter(steps, stepsHelp, func(s status) uint64 { return s.Forgeries.Rotated }).with("step", "rotate"),
		counter(steps, stepsHelp, func(s status) uint64 { return s.Forgeries.Killed }).with("step", "kill"),
		counter(steps, stepsHelp, func(s status) uint64 { return s.Forgeries.Held }).with("step", "held"),
		counter("counterfoil_misconfigurations_total", "Times that the secrets of the notaries began to disagree. Until they agree for a token life nothing is answered: After misconfigured, in operations.md.", func(s status) uint64 { return s.Forgeries.Misconfigured }),
		counter("counterfoil_blind_total", "Times that forgeries went unnoticed: no notary checked tags on this node for a minute, or a verifier is connected and got no answer to its reports. Any is an alarm.", func(s status) uint64 { return s.Forgeries.Blind }),
		counter("counterfoil_unshown_total", "Tokens with a wrong tag that a verifier was asked for and did not show in 30 seconds.", func(s status) uint64 { return s.Forgeries.Unshown }),
		counter("counterfoil_late_evidence_total", "Tokens with a wrong tag that had ended when they were shown, so that they proved nothing.", func(s status) uint64 { return s.Forgeries.Late }),
		counter(probes, probesHelp, func(s status) uint64 { return s.Forgeries.ProbesPassed }).with("result", "passed"),
		counter(probes, probesHelp, func(s status) uint64 { return s.Forgeries.ProbesFailed }).with("result", "failed"),
		counter(alarms, alarmsHelp, func(s status) uint64 { return s.Forgeries.Alarms }).with("result", "taken"),
		counter(alarms, alarmsHelp, func(s status) uint64 { return s.Forgeries.AlarmsFailed }).with("result", "failed"),
		gauge(held, heldHelp, func(s status) int { return s.ForgeryBounds.Reporters }).with("kind", "reporters"),
		gauge(peak, peakHelp, func(s status) int { return s.ForgeryBounds.PeakReporters }).with("kind", "reporters"),
		gauge(most, mostHelp, func(s status) int { return s.ForgeryBounds.MaxReporters }).with("kind", "reporters"),
		gauge(held, heldHelp, func(s status) int { return s.ForgeryBounds.Judged }).with("kind", "judged"),
		gauge(peak, peakHelp, func(s status) int { return s.ForgeryBounds.PeakJudged }).with("kind", "judged"),
		gauge(most, mostHelp, func(s status) int { return s.ForgeryBounds.MaxJudged }).with("kind", "judged"),
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
	for _, state := range []keyring.State{keyring.Standby, keyring.Active, keyring.Retiring, keyring.Retired, keyring.Killed, keyring.Refused} {
		list = append(list, gauge("counterfoil_keys", "Signing keys, by algorithm and state.", func(c keyCounts) int { return c[state] }).with("state", string(state)))
	}
	return list
}
