package request_test

import (
	"testing"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/request"
)

func TestPermissionRange(t *testing.T) {
	prefix, from := request.Permission{Prefix: true}, request.Permission{FromKey: true}
	for _, tt := range []struct {
		flags    request.Permission
		args     []string
		key, end string
	}{
		{request.Permission{}, []string{"k"}, "k", ""},
		{request.Permission{}, []string{"k", "z"}, "k", "z"},
		{request.Permission{}, []string{"k", "z", "more"}, "k", "z"},
		{request.Permission{}, []string{""}, "\x00", ""},
		{request.Permission{}, []string{"", "z"}, "\x00", ""},
		{prefix, []string{"dir/"}, "dir/", "dir0"},
		{prefix, []string{"\xff"}, "\xff", "\x00"},
		{prefix, []string{""}, "\x00", "\x00"},
		{from, []string{"k"}, "k", "\x00"},
		{from, []string{""}, "\x00", "\x00"},
	} {
		key, end, err := tt.flags.Range(tt.args)
		if key != tt.key || end != tt.end || err != nil {
			t.Errorf("%+v of %q: got %q to %q, error %v; want %q to %q", tt.flags, tt.args, key, end, err, tt.key, tt.end)
		}
	}
	for _, tt := range []struct {
		flags request.Permission
		args  []string
	}{
		{request.Permission{Prefix: true, FromKey: true}, []string{"k"}},
		{request.Permission{Prefix: true, FromKey: true}, []string{""}},
		{prefix, []string{"k", "z"}},
		{from, []string{"k", "z"}},
	} {
		if _, _, err := tt.flags.Range(tt.args); exit.Code(err) != exit.BadArgs {
			t.Errorf("%+v of %q: got error %v, want one with exit status %d", tt.flags, tt.args, err, exit.BadArgs)
		}
	}
}
