package cli

import (
	"io"
	"slices"
	"strings"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/wire"
)

// traceFormats are what --trace takes.
func traceFormats() []string {
	var out []string
	for _, f := range wire.Formats() {
		out = append(out, string(f))
	}
	return out
}

func formatNames() string { return strings.Join(traceFormats(), ", ") }

// openTrace makes the tracer that the flags ask for. All clients of the run share it.
func (f *globalFlags) openTrace(w io.Writer) error {
	switch {
	case f.tracer != nil || f.trace == "":
		return nil
	case !slices.Contains(traceFormats(), f.trace):
		return exit.Errorf(exit.BadArgs, "bad value %q for --trace: want one of %s", f.trace, formatNames())
	}
	f.tracer = wire.New(w, f.traceOptions(f.trace))
	return nil
}

func (f *globalFlags) traceOptions(format string) wire.Options {
	return wire.Options{
		Format: wire.Format(format), Secrets: f.traceSecrets, HideValues: f.traceHide,
		CA: f.cacert, Cert: f.cert, Key: f.key,
	}
}

// closeTrace waits for the trace to be written: what takes it from stderr may be slow.
func (f *globalFlags) closeTrace() {
	if f.tracer != nil {
		f.tracer.Flush(-1)
	}
}
