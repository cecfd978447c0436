package main

import (
	"fmt"
	"regexp"
	"strings"
)

// record is one record of a trace in text.
type record struct {
	title string
	notes []string
	lines []string
}

var (
	clock = regexp.MustCompile(`^# \d\d:\d\d:\d\d\.\d{6} `)
	took  = regexp.MustCompile(`, after [0-9.]+[µmn]?s$`)
)

// records takes a trace in text apart. Times are taken out.
func records(trace string) []record {
	var out []record
	for block := range strings.SplitSeq(strings.Trim(trace, "\n"), "\n\n") {
		var r record
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			switch {
			case r.title == "" && strings.HasPrefix(line, "# "):
				r.title = took.ReplaceAllString(clock.ReplaceAllString(line, ""), "")
			case strings.HasPrefix(line, "# "):
				r.notes = append(r.notes, line)
			default:
				r.lines = append(r.lines, line)
			}
		}
		out = append(out, r)
	}
	return out
}

// listing is what a trace has of the method, without what belongs to the connection.
func listing(trace, path string) (string, error) {
	var lines []string
	for _, r := range records(trace) {
		if strings.Contains(r.title, ", "+path+",") {
			lines = append(lines, r.lines...)
		}
	}
	if len(lines) == 0 {
		return "", fmt.Errorf("the trace has no %s:\n%s", path, trace)
	}
	return strings.Join(elide(lines), "\n"), nil
}

var hiddenBytes = regexp.MustCompile(`^([<>]) [0-9a-f]{8}  (\*\* ){15}\*\*$`)

// elide leaves out the middle of long runs of bytes that are hidden.
func elide(lines []string) []string {
	const few = 2
	var out []string
	for i := 0; i < len(lines); {
		n := 0
		for i+n < len(lines) && hiddenBytes.MatchString(lines[i+n]) {
			n++
		}
		if n <= 2*few {
			out = append(out, lines[i])
			i++
			continue
		}
		out = append(out, lines[i:i+few]...)
		out = append(out, fmt.Sprintf("%s %d lines more, %d bytes", lines[i][:1], n-2*few, 16*(n-2*few)))
		out = append(out, lines[i+n-few:i+n]...)
		i += n
	}
	return out
}

// fence puts text into a code block.
func fence(language, text string) string {
	return "```" + language + "\n" + strings.TrimRight(text, "\n") + "\n```"
}
