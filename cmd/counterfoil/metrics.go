package main

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A figure is one number in a reading of T.
type figure[T any] struct {
	name, help string
	kind       prometheus.ValueType
	labels     prometheus.Labels // constant; all figures of one name have the same
	value      func(T) float64
}

// counter is a figure that only grows.
func counter[T any, N number](name, help string, value func(T) N) figure[T] {
	return figure[T]{name: name, help: help, kind: prometheus.CounterValue, value: func(r T) float64 { return float64(value(r)) }}
}

// gauge is a figure that goes up and down.
func gauge[T any, N number](name, help string, value func(T) N) figure[T] {
	return figure[T]{name: name, help: help, kind: prometheus.GaugeValue, value: func(r T) float64 { return float64(value(r)) }}
}

type number interface {
	~int | ~uint64 | ~float64
}

// with gives a figure a label: several of one name are parts of one whole.
func (f figure[T]) with(label, value string) figure[T] {
	f.labels = prometheus.Labels{label: value}
	return f
}

// readings is a collector that reads once for each scrape, so that its figures
// belong to one moment.
type readings[T any] struct {
	figures []figure[T]
	descs   []*prometheus.Desc
	read    func() map[string]T // by the value of the label
}

// collect returns a collector of figures. read returns one reading for each value
// of label, of which there must be few; where label is empty, one under "".
func collect[T any](label string, figures []figure[T], read func() map[string]T) prometheus.Collector {
	c := &readings[T]{figures: figures, read: read}
	var variable []string
	if label != "" {
		variable = []string{label}
	}
	for _, f := range figures {
		c.descs = append(c.descs, prometheus.NewDesc(f.name, f.help, variable, f.labels))
	}
	return c
}

// Describe is part of [prometheus.Collector].
func (c *readings[T]) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect is part of [prometheus.Collector].
func (c *readings[T]) Collect(ch chan<- prometheus.Metric) {
	for label, reading := range c.read() {
		var values []string
		if label != "" {
			values = []string{label}
		}
		for i, f := range c.figures {
			ch <- prometheus.MustNewConstMetric(c.descs[i], f.kind, f.value(reading), values...)
		}
	}
}

// seconds of a duration, and of a moment since 1970; 0 for the zero moment.
func seconds(d time.Duration) float64 { return d.Seconds() }

func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1e6
}

// one is 1 for true.
func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// requestBuckets are the upper bounds of what an answer may take, in seconds. A
// token is checked in some ten microseconds, a password in some ten milliseconds.
var requestBuckets = []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3, 10}

// measured counts the requests that next serves, by route and status. A route is
// the pattern in the program, never the path that was asked for.
func measured(r prometheus.Registerer, next http.Handler) http.Handler {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "counterfoil_http_requests_total", Help: "Requests answered, by route and status.",
	}, []string{"route", "code"})
	times := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "counterfoil_http_request_duration_seconds", Help: "Time to the end of the answer, by route; streams of the feed are left out.",
		Buckets: requestBuckets,
	}, []string{"route"})
	r.MustRegister(requests, times)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		began := time.Now()
		status := &statusWriter{ResponseWriter: w, code: http.StatusOK}
		defer func() {
			route := routeOf(req)
			requests.WithLabelValues(route, strconv.Itoa(status.code)).Inc()
			if route != tailRoute {
				times.WithLabelValues(route).Observe(time.Since(began).Seconds())
			}
		}()
		next.ServeHTTP(status, req)
	})
}

// tailRoute is answered for as long as the client likes.
const tailRoute = "GET /revocation/tail"

// routeOf returns the pattern that the request met, "other" for none.
func routeOf(r *http.Request) string {
	if r.Pattern == "" {
		return "other"
	}
	return r.Pattern
}

// A statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	code  int
	begun bool
}

// WriteHeader is part of [http.ResponseWriter].
func (w *statusWriter) WriteHeader(code int) {
	if !w.begun && code >= 200 { // 1xx come before
		w.code, w.begun = code, true
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write is part of [http.ResponseWriter].
func (w *statusWriter) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
