package main

import (
	"github.com/counterfoil/counterfoil/verifier"
)

// verifierFigures are what a verifier tells, by its issuer. There are as many
// values of that label as the configuration names issuers.
func verifierFigures() []figure[verifier.Status] {
	type status = verifier.Status
	const anomalies, anomaliesHelp = "counterfoil_verifier_anomalies_total", "Things in the feed that should not be, by kind."
	list := []figure[status]{
		gauge("counterfoil_verifier_ready", "1 when tokens can be checked.", func(s status) int { return one(s.Ready == nil) }),
		gauge("counterfoil_verifier_feed", "1 when the issuer has a revocation feed.", func(s status) int { return one(s.Feed) }),
		gauge("counterfoil_verifier_keys", "Keys of the issuer that are held.", func(s status) int { return s.Keys.Keys }),
		gauge("counterfoil_verifier_cached_tokens", "Verified tokens remembered.", func(s status) int { return s.CachedTokens }),
		gauge("counterfoil_verifier_cached_bytes", "Memory of the verified tokens remembered.", func(s status) int { return s.CachedBytes }),
		counter("counterfoil_verifier_cache_hits_total", "Checks that needed no signature check.", func(s status) uint64 { return s.CacheHits }),

		gauge("counterfoil_verifier_clock_behind_seconds", "Our clock against the issuer's, where it is behind.", func(s status) float64 { return seconds(s.ClockBehind) }),
		gauge("counterfoil_verifier_table_age_seconds", "Age of the revocation table.", func(s status) float64 { return seconds(s.Age) }),
		gauge("counterfoil_verifier_table_entries", "Revocations held.", func(s status) int { return s.Entries }),
		gauge("counterfoil_verifier_table_bytes", "Memory of the revocations held.", func(s status) int { return s.Bytes }),
		gauge("counterfoil_verifier_table_head", "Number up to which every revocation has been applied.", func(s status) uint64 { return s.Head }),
		gauge("counterfoil_verifier_table_low_water", "A token from before this number is refused.", func(s status) uint64 { return s.LowWater }),
		gauge("counterfoil_verifier_table_as_of_timestamp_seconds", "Moment of the table by the issuer's clock.", func(s status) float64 { return unixSeconds(s.AsOf) }),

		counter("counterfoil_verifier_weak_checks_total", "Checks made with a table that was not fresh, by its state.", func(s status) uint64 { return s.LateChecks }).with("state", "late"),
		counter("counterfoil_verifier_weak_checks_total", "Checks made with a table that was not fresh, by its state.", func(s status) uint64 { return s.StaleChecks }).with("state", "stale"),
		counter(anomalies, anomaliesHelp, func(s status) uint64 { return s.Ahead }).with("kind", "ahead"),
		counter(anomalies, anomaliesHelp, func(s status) uint64 { return s.Forks }).with("kind", "fork"),
		counter(anomalies, anomaliesHelp, func(s status) uint64 { return s.Rollbacks }).with("kind", "rollback"),
		counter(anomalies, anomaliesHelp, func(s status) uint64 { return s.Gaps }).with("kind", "gap"),
		counter(anomalies, anomaliesHelp, func(s status) uint64 { return s.Refused }).with("kind", "refused"),
		counter("counterfoil_verifier_resyncs_total", "Times that the table was loaded anew.", func(s status) uint64 { return s.Resyncs }),
		counter("counterfoil_verifier_streams_total", "Connections to the feed.", func(s status) uint64 { return s.Streams }),
		counter("counterfoil_verifier_polls_total", "Long polls, where streams bring nothing.", func(s status) uint64 { return s.Polls }),
		counter("counterfoil_verifier_ack_errors_total", "Acknowledgements that did not arrive.", func(s status) uint64 { return s.AckErrors }),
	}
	list = append(list, seenFigures()...)
	for _, state := range []verifier.State{verifier.Fresh, verifier.Late, verifier.Stale, verifier.Blind} {
		list = append(list, gauge("counterfoil_verifier_state", "1 for the present state of the table, 0 for the others.",
			func(s status) int { return one(s.Feed && s.State == state) }).with("state", state.String()))
	}
	return list
}

// seenFigures are what becomes of tokens whose keys are tagged.
func seenFigures() []figure[verifier.Status] {
	type status = verifier.Status
	const (
		held, heldHelp = "counterfoil_verifier_seen_held", "What is kept of tokens that were seen, by kind."
		peak, peakHelp = "counterfoil_verifier_seen_held_peak", "The most that was kept of tokens that were seen, by kind."
		most, mostHelp = "counterfoil_verifier_seen_held_limit", "The most that may be kept of tokens that were seen, by kind."

		records, recordsHelp = "counterfoil_verifier_seen_records_total", "Records of tokens that were seen, by what became of them."
		refused, refusedHelp = "counterfoil_verifier_refused_total", "Requests refused for what became of their tokens' records, by reason."
		witness, witnessHelp = "counterfoil_verifier_witness_total", "Tokens whose witness was looked at and was not right, by fault."
	)
	return []figure[status]{
		gauge("counterfoil_verifier_seen_off", "1 when the issuer takes no reports of tokens.", func(s status) int { return one(s.Seen.Off) }),
		gauge("counterfoil_verifier_seen_share", "Share of tokens that are reported.", func(s status) float64 { return s.Seen.Share }),
		gauge("counterfoil_verifier_seen_unanswered_seconds", "How long a report of a token has waited for an answer. Where it grows, forged tokens go unnoticed.", func(s status) float64 { return seconds(s.Seen.Unanswered) }),
		gauge(held, heldHelp, func(s status) int { return s.Seen.Bytes }).with("kind", "token_bytes"),
		gauge(peak, peakHelp, func(s status) int { return s.Seen.BytesPeak }).with("kind", "token_bytes"),
		gauge(most, mostHelp, func(s status) int { return s.Seen.BytesCap }).with("kind", "token_bytes"),
		gauge(held, heldHelp, func(s status) int { return s.Seen.Waiting }).with("kind", "waiting"),
		gauge(peak, peakHelp, func(s status) int { return s.Seen.WaitingPeak }).with("kind", "waiting"),
		gauge(most, mostHelp, func(s status) int { return s.Seen.WaitingCap }).with("kind", "waiting"),
		gauge(held, heldHelp, func(s status) int { return s.Seen.Evidence }).with("kind", "evidence"),
		gauge(peak, peakHelp, func(s status) int { return s.Seen.EvidencePeak }).with("kind", "evidence"),
		gauge(most, mostHelp, func(s status) int { return s.Seen.EvidenceCap }).with("kind", "evidence"),
		gauge(held, heldHelp, func(s status) int { return s.Seen.Proving }).with("kind", "proving"),
		gauge(peak, peakHelp, func(s status) int { return s.Seen.ProvingPeak }).with("kind", "proving"),
		gauge(most, mostHelp, func(s status) int { return s.Seen.ProvingCap }).with("kind", "proving"),

		counter("counterfoil_verifier_seen_reports_total", "Reports of tokens that were sent.", func(s status) uint64 { return s.Seen.Reports }),
		counter("counterfoil_verifier_seen_errors_total", "Reports of tokens that failed.", func(s status) uint64 { return s.Seen.Errors }),
		counter("counterfoil_verifier_seen_forgotten_total", "Tokens that were forgotten before they expired.", func(s status) uint64 { return s.Seen.Forgotten }),
		counter(records, recordsHelp, func(s status) uint64 { return s.Seen.Proved }).with("outcome", "proved"),
		counter(records, recordsHelp, func(s status) uint64 { return s.Seen.Wrong }).with("outcome", "wrong"),
		counter(records, recordsHelp, func(s status) uint64 { return s.Seen.Again }).with("outcome", "again"),
		counter(records, recordsHelp, func(s status) uint64 { return s.Seen.Dropped }).with("outcome", "dropped"),
		counter("counterfoil_verifier_evidence_total", "Tokens sent as evidence.", func(s status) uint64 { return s.Seen.EvidenceSent }),
		counter("counterfoil_verifier_evidence_dropped_total", "Tokens for evidence that found no room.", func(s status) uint64 { return s.Seen.EvidenceDropped }),
		counter(refused, refusedHelp, func(s status) uint64 { return s.Seen.Forged }).with("reason", "forged"),
		counter(refused, refusedHelp, func(s status) uint64 { return s.Seen.Canaries }).with("reason", "canary"),
		counter(refused, refusedHelp, func(s status) uint64 { return s.Seen.Unproved }).with("reason", "unproved"),
		counter(witness, witnessHelp, func(s status) uint64 { return s.Seen.WitnessMissing }).with("fault", "missing"),
		counter(witness, witnessHelp, func(s status) uint64 { return s.Seen.WitnessWrong }).with("fault", "wrong"),
	}
}

// statuses reads every verifier, by its issuer.
func statuses(all map[string]*verifier.Verifier) map[string]verifier.Status {
	now := make(map[string]verifier.Status, len(all))
	for issuer, v := range all {
		now[issuer] = v.Status()
	}
	return now
}
