package explain_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/getcd/getcd/internal/explain"
)

// desc quotes as gRPC's errors of connections do.
type desc struct{ error }

func (d desc) Error() string { return fmt.Sprintf("connection error: desc = %q", d.error) }
func (d desc) Unwrap() error { return d.error }

const hintedX = `EOF (of "x")`

func TestOriginal(t *testing.T) {
	hinted := explain.Hint(io.EOF, "it hung up %s", "early")
	for _, tt := range []struct {
		err            error
		text, original string
	}{
		{io.EOF, "EOF", "EOF"},
		{hinted, "EOF (it hung up early)", "EOF"},
		{fmt.Errorf("reading: %w", hinted), "reading: EOF (it hung up early)", "reading: EOF"},
		{desc{explain.Hint(io.EOF, `of "x"`)}, `connection error: desc = "EOF (of \"x\")"`, `connection error: desc = "EOF"`},
		{fmt.Errorf("b: %w", explain.New(fmt.Errorf("a: %w", hinted), "silence")), "b: silence", "b: a: EOF"},
	} {
		if got := tt.err.Error(); got != tt.text {
			t.Errorf("got the text %q, want %q", got, tt.text)
		}
		if got := explain.Original(tt.err); got != tt.original {
			t.Errorf("the original of %q is %q, want %q", tt.text, got, tt.original)
		}
		if _, wrapped := tt.err.(desc); wrapped && explain.Plain(tt.err) != hintedX { //nolint:errorlint // the very value
			t.Errorf("without the wrapping got %q, want %q", explain.Plain(tt.err), hintedX)
		}
		if !errors.Is(tt.err, io.EOF) {
			t.Errorf("%q is no io.EOF any more", tt.text)
		}
	}
}
