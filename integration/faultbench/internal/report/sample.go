package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Outcome is what became of one call.
type Outcome uint8

// The outcomes of calls.
const (
	// OK is a call that was answered.
	OK Outcome = iota
	// Failed is a call that returned an error which does not say that the call
	// may have taken effect all the same.
	Failed
	// Ambiguous is a write that failed with an error by which the client says
	// that it may have been applied.
	Ambiguous
)

// Sample is one call of one worker.
type Sample struct {
	Start, End time.Duration
	Outcome    Outcome
}

// Series is what the workers of one client did with one kind of call. A worker's
// calls are in the order in which it made them, one after the other.
type Series struct {
	Client, Kind string
	// Write says that the calls change data: only then can they be ambiguous.
	Write bool
	// Marks says that the client tells ambiguous failures from certain ones.
	Marks bool
	// Held says that the client is to keep the bounds of Cell.Misses.
	Held bool
	// Alone says that its worker made all the client's traffic.
	Alone   bool
	Workers [][]Sample
	// Errors are texts of the first failures.
	Errors  []string
	Remarks Remarks
}

// Remarks are what was found out about a series when all was over.
type Remarks struct {
	// Facts are worth knowing, Wrongs must not be.
	Facts, Wrongs []string
}

// Seconds is a duration that is written as seconds, in JSON as a number.
type Seconds time.Duration

// MarshalJSON writes the seconds with the precision of a microsecond.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, math.Round(time.Duration(s).Seconds()*1e6)/1e6, 'f', -1, 64), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Seconds) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return fmt.Errorf("report: seconds: %w", err)
	}
	*s = Seconds(math.Round(v * float64(time.Second)))
	return nil
}

// String writes the seconds with three digits.
func (s Seconds) String() string { return fmt.Sprintf("%.3f s", time.Duration(s).Seconds()) }

// Row is a line of the table: the calls that ended after the fault began, in the
// fault and in the recovery from it.
type Row struct {
	Client string `json:"client"`
	Kind   string `json:"kind"`
	// OK counts the calls that were answered, Failed all others.
	OK     int `json:"ok"`
	Failed int `json:"failed"`
	// Ambiguous is how many of the failed calls the client marked as possibly
	// applied. It is nil for reads, and for clients that do not mark them.
	Ambiguous *int `json:"ambiguous"`
	// Gap is the longest time that a worker went without a success: from the
	// end of one to the end of the next, or to the end of the measurement.
	Gap Seconds `json:"gap_seconds"`
	// P99 and Max are how long calls took, failed ones too.
	P99 Seconds `json:"p99_seconds"`
	Max Seconds `json:"max_seconds"`
	// Misses says which bounds of Cell.Misses the row does not keep.
	Misses []string `json:"misses,omitempty"`
	// Facts are worth knowing, such as how many events a watch had; Wrongs must
	// not be, such as events that it lost.
	Facts  []string `json:"facts,omitempty"`
	Wrongs []string `json:"wrongs,omitempty"`
	// Errors are texts of the first failures.
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
		row.Gap = 0 // there are few calls: how late they were counts
		for _, one := range took {
			row.Gap = max(row.Gap, Seconds(one))
		}
	}
	if s.Write && s.Marks {
		row.Ambiguous = &ambiguous
	}
	if len(took) > 0 {
		slices.Sort(took)
		// The nearest rank: the least time that 99 % of the calls kept.
		row.P99 = Seconds(took[(len(took)*99+99)/100-1])
		row.Max = Seconds(took[len(took)-1])
	}
	return row
}

// gap is the longest time without a success of one worker, as far as it reaches
// into the time after the fault's first moment.
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
