package bench

import (
	"time"

	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

// JudgeVersions exports judgeVersions.
var JudgeVersions = judgeVersions

// Lateness returns the lateness of events by their revisions.
func Lateness(written, seen map[int64]time.Duration, end time.Duration) []report.Sample {
	var events []event
	for revision, at := range seen {
		events = append(events, event{revision, at})
	}
	return lateness(written, events, end)
}

// Choose exports choose.
var Choose = choose

// Plan returns the names of the cells that Run would measure.
func Plan(cfg Config) ([]string, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range cells(cfg) {
		names = append(names, c.name())
	}
	return names, nil
}

// Filled exports filled.
func (cfg Config) Filled(id string) string { return cfg.filled(id) }

// Short exports short.
func (cfg Config) Short(value string) string { return cfg.short(value) }
