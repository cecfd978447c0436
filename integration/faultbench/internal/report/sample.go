package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Outcome is the outcome of one call.
type Outcome uint8

// The outcomes of calls.
const (
	// OK is a call that succeeded.
	OK Outcome = iota
	// Failed is a call that returned an error which does not say that the call
	// may have taken effect.
	Failed
	// Ambiguous is a write whose error says that it may have been applied.
	Ambiguous
)

// Sample is one call of one worker.
type Sample struct {
	Start, End time.Duration
	Outcome    Outcome
}

// Series has the calls of one kind of one client's workers. Each worker's calls
// are in order.
type Series struct {
	Client, Kind string
	// Write says that the calls change data. Only then can they be ambiguous.
	Write bool
	// Marks says that the client distinguishes ambiguous failures from certain
	// ones.
	Marks bool
	// Held says that the client must keep the bounds of Cell.Misses.
	Held bool
	// Sure says that none of the client's writes may fail, and Prompt that their gaps are
	// held to the bounds of reads.
	Sure, Prompt bool
	// Alone says that its worker makes all of the client's traffic.
	Alone   bool
	Workers [][]Sample
	// Errors are the texts of the first failures.
	Errors  []string
	Remarks Remarks
}

// Remarks are findings about a series at the end of the measurement.
type Remarks struct {
	// Facts are additional information. Wrongs are results that must not occur.
	Facts, Wrongs []string
}

// Seconds is a duration that is formatted in seconds, in JSON as a number.
type Seconds time.Duration

// MarshalJSON writes the seconds with microsecond precision.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, math.Round(time.Duration(s).Seconds()*1e6)/1e6, 'f', -1, 64), nil
}

// UnmarshalJSON parses the output of MarshalJSON.
func (s *Seconds) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return fmt.Errorf("report: seconds: %w", err)
	}
	*s = Seconds(math.Round(v * float64(time.Second)))
	return nil
}

// String formats the seconds with three digits.
func (s Seconds) String() string { return fmt.Sprintf("%.3f s", time.Duration(s).Seconds()) }

// Row is a row of the table: the calls that ended after the fault began, during
// the fault and during the recovery.
type Row struct {
	Client string `json:"client"`
	Kind   string `json:"kind"`
	// OK is the number of calls that succeeded, and Failed the number of all
	// others.
	OK     int `json:"ok"`
	Failed int `json:"failed"`
	// Ambiguous is the number of failed calls that the client marked as possibly
	// applied. It is nil for reads, and for clients that do not mark them.
	Ambiguous *int `json:"ambiguous"`
	// Gap is the longest time that a worker went without a success: from the end
	// of one success to the end of the next, or to the end of the measurement.
	Gap Seconds `json:"gap_seconds"`
	// P99 and Max are durations of calls, including failed ones.
	P99 Seconds `json:"p99_seconds"`
	Max Seconds `json:"max_seconds"`
	// Misses has the bounds of Cell.Misses that the row exceeds.
	Misses []string `json:"misses,omitempty"`
	// Facts are additional information, such as the number of a watch's events.
	// Wrongs are results that must not occur, such as lost events.
	Facts  []string `json:"facts,omitempty"`
	Wrongs []string `json:"wrongs,omitempty"`
	// Errors are the texts of the first failures.
	Errors []string `json:"errors,omitempty"`
}

// Summarize computes the row of a series whose measurement ended at end.
func Summarize(s Series, end time.Duration) Row {
	row := Row{Client: s.Client, Kind: s.Kind, Errors: s.Errors, Facts: s.Remarks.Facts, Wrongs: s.Remarks.Wrongs}
	var took []time.Duration
	ambiguous := 0
	for _, calls := range s.Workers {
		for _, c := range calls {
			if c.End < 0 {
				continue
			}
			took = append(took, c.End-c.Start)
			switch c.Outcome {
			case OK:
				row.OK++
			case Ambiguous:
				ambiguous++
				row.Failed++
			case Failed:
				row.Failed++
			}
		}
		row.Gap = max(row.Gap, Seconds(gap(calls, end)))
	}
	if s.Alone {
		row.Gap = 0 // there are few calls, so their lateness counts
		for _, one := range took {
			row.Gap = max(row.Gap, Seconds(one))
		}
	}
	if s.Write && s.Marks {
		row.Ambiguous = &ambiguous
	}
	if len(took) > 0 {
		slices.Sort(took)
		// The nearest rank: the shortest time within which 99 % of the calls
		// returned.
		row.P99 = Seconds(took[(len(took)*99+99)/100-1])
		row.Max = Seconds(took[len(took)-1])
	}
	return row
}

// gap returns the longest time without a success of one worker, as far as it is
// after the start of the fault.
func gap(calls []Sample, end time.Duration) time.Duration {
	var longest, last time.Duration
	for _, c := range calls {
		end = max(end, c.End)
		if c.Outcome != OK {
			continue
		}
		if c.End >= 0 {
			longest = max(longest, c.End-last)
		}
		last = c.End
	}
	return max(longest, end-last)
}
