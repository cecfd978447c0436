package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/getcd/getcd/integration/internal/measure"
)

// write writes the page: the main figures, and then all of them.
func (cfg config) write(w io.Writer, args []string, all []measured) {
	measure.Say(w, "# Scale, side by side\n\n")
	measure.Say(w, "`go run ./integration/scalebench %s`: clientv3 %s and getcd, %s/%s, %s,\n", strings.Join(args, " "),
		version("go.etcd.io/etcd/client/v3"), runtime.GOOS, runtime.GOARCH, measure.Plural(runtime.NumCPU(), "processor"))
	measure.Say(w, "which the members share with the clients. Each measurement is a process of its own; in each round all\n")
	measure.Say(w, "clients are measured in turn. The figures are medians, with every round's beside them below. CPU is the\n")
	measure.Say(w, "client's process alone. What connections carry is counted by the same handler for both clients.\n\n")
	measure.Say(w, "| work | |%s getcd's advantage |\n|---|---|%s---:|\n", cfg.heads(" %s |"), cfg.heads("---:|"))
	for _, m := range all {
		for i, f := range m.names() {
			if !f.Main {
				continue
			}
			measure.Say(w, "| %s | %s |", m.title(), label(f))
			for _, c := range cfg.clients {
				measure.Say(w, " %s |", m.median(c, i))
			}
			measure.Say(w, " %s |\n", m.advantage(i, f.More))
		}
	}
	for _, m := range all {
		measure.Say(w, "\n## %s\n\n", m.title())
		if m.notes != "" {
			measure.Say(w, "%s\n\n", m.notes)
		}
		measure.Say(w, "| |%s%s\n|---|%s%s\n", cfg.heads(" %s |"), cfg.heads(" %s, each round |"), cfg.heads("---:|"), cfg.heads("---|"))
		for i, f := range m.names() {
			measure.Say(w, "| %s |", label(f))
			for _, c := range cfg.clients {
				measure.Say(w, " %s |", m.median(c, i))
			}
			for _, c := range cfg.clients {
				var each []string
				for _, figures := range m.rounds[c] {
					each = append(each, short(figures[i].Value))
				}
				measure.Say(w, " %s |", strings.Join(each, ", "))
			}
			measure.Say(w, "\n")
		}
	}
}

// heads writes something for each client.
func (cfg config) heads(format string) string {
	var b strings.Builder
	for _, c := range cfg.clients {
		if strings.Contains(format, "%s") {
			fmt.Fprintf(&b, format, c)
		} else {
			b.WriteString(format)
		}
	}
	return b.String()
}

// names are the figures as some round has them; all rounds have the same.
func (m measured) names() []figure {
	for _, rounds := range m.rounds {
		if len(rounds) > 0 {
			return rounds[0]
		}
	}
	return nil
}

func (m measured) title() string { return fmt.Sprintf(m.text, m.size) }

func (m measured) median(client string, i int) string {
	if len(m.rounds[client]) == 0 {
		return "–"
	}
	return short(m.value(client, i))
}

func (m measured) value(client string, i int) float64 {
	return measure.Median(m.rounds[client], func(figures []figure) float64 { return figures[i].Value })
}

// advantage is by what factor getcd is better than clientv3.
func (m measured) advantage(i int, more bool) string {
	theirs, ours := m.value("clientv3", i), m.value("getcd", i)
	if more {
		theirs, ours = ours, theirs
	}
	if theirs <= 0 || ours <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f ×", theirs/ours)
}

func label(f figure) string {
	if f.Unit == "" {
		return f.Name
	}
	return f.Name + ", " + f.Unit
}

// short is a number with three digits at least.
func short(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 1000 || v <= -1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}

// version returns the version of a module in this program, or an empty string if it is
// unknown.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}
