package cli

import (
	"errors"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
)

func TestLeaderAmong(t *testing.T) {
	says := func(id, leader, term uint64) finding[*pb.StatusResponse] {
		return finding[*pb.StatusResponse]{value: &pb.StatusResponse{Header: &pb.ResponseHeader{MemberId: id}, Leader: leader, RaftTerm: term}}
	}
	down := finding[*pb.StatusResponse]{err: errors.New("no answer")}
	for _, tt := range []struct {
		name  string
		found []finding[*pb.StatusResponse]
		want  int
		code  int
		text  string
	}{
		{"the second", []finding[*pb.StatusResponse]{says(1, 2, 5), says(2, 2, 5), says(3, 2, 5)}, 1, exit.OK, ""},
		{"one is down", []finding[*pb.StatusResponse]{down, says(2, 2, 5)}, 1, exit.OK, ""},
		{"an old leader", []finding[*pb.StatusResponse]{says(1, 1, 4), says(2, 2, 5), says(3, 3, 3)}, 1, exit.OK, ""},
		{"not named", []finding[*pb.StatusResponse]{says(1, 2, 5), says(3, 2, 5)}, 0, exit.BadArgs, "among the endpoints e0, e1"},
		{"none", []finding[*pb.StatusResponse]{says(1, 0, 5)}, 0, exit.BadArgs, "e0"},
		{"down, perhaps", []finding[*pb.StatusResponse]{says(1, 2, 5), down}, 0, exit.Failure, "e1: no answer"},
	} {
		probes := []probe{{name: "e0"}, {name: "e1"}, {name: "e2"}}[:len(tt.found)]
		got, err := leaderAmong(probes, tt.found)
		if got != tt.want || exit.Code(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: got %d, error %v; want %d, exit status %d and %q", tt.name, got, err, tt.want, tt.code, tt.text)
		}
	}
}
