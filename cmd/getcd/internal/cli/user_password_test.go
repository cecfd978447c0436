package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
)

func TestNewPassword(t *testing.T) {
	const asked = "Password of u: \nType password of u again for confirmation: \n"
	for _, tt := range []struct {
		in          io.Reader
		interactive bool
		want        string
		code        int
		stdout      string
		left        string // of in
	}{
		{strings.NewReader("pw\npw\nrest"), true, "pw", exit.OK, asked, "rest"},
		{strings.NewReader(" p w \r\np w"), true, "p w", exit.OK, asked, ""},
		{strings.NewReader("pw\nother\n"), true, "", exit.BadArgs, asked, ""},
		{strings.NewReader("pw"), true, "", exit.BadArgs, asked, ""},
		{strings.NewReader("\npw\n"), true, "", exit.BadArgs, "Password of u: \n", "pw\n"},
		{strings.NewReader(""), true, "", exit.BadArgs, "Password of u: \n", ""},
		{iotest.ErrReader(io.ErrUnexpectedEOF), true, "", exit.BadArgs, "Password of u: \n", ""},
		{strings.NewReader("pw"), false, "pw", exit.OK, "", ""},
		{strings.NewReader("p w\n"), false, "p", exit.OK, "", " w\n"},
		{strings.NewReader(""), false, "", exit.OK, "", ""},
	} {
		var stdout bytes.Buffer
		a := &app{Streams: Streams{In: tt.in, Out: &stdout, Err: io.Discard}}
		got, err := a.newPassword("u", tt.interactive)
		if got != tt.want || exit.Code(err) != tt.code || stdout.String() != tt.stdout {
			t.Errorf("got %q, error %v, stdout %q; want %q, exit status %d, %q", got, err, &stdout, tt.want, tt.code, tt.stdout)
		}
		if r, ok := tt.in.(*strings.Reader); ok {
			if left := rest(t, r); left != tt.left {
				t.Errorf("of the input %q is left, want %q", left, tt.left)
			}
		}
	}
}

func rest(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
