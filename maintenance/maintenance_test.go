package maintenance_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/maintenance"
)

func TestRequests(t *testing.T) {
	for _, tc := range []struct {
		name string
		call func(context.Context, *maintenance.Service) error
		want proto.Message
	}{
		{"AlarmList", func(ctx context.Context, s *maintenance.Service) error {
			_, err := s.AlarmList(ctx)
			return err
		}, &pb.AlarmRequest{Action: pb.AlarmRequest_GET}},
		{"AlarmDisarm", func(ctx context.Context, s *maintenance.Service) error {
			_, err := s.AlarmDisarm(ctx, &maintenance.AlarmMember{MemberID: 5, Alarm: pb.AlarmType_CORRUPT})
			return err
		}, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: 5, Alarm: pb.AlarmType_CORRUPT}},
		{"AlarmDisarm of one member", func(ctx context.Context, s *maintenance.Service) error {
			_, err := s.AlarmDisarm(ctx, &maintenance.AlarmMember{MemberID: 5})
			return err
		}, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: 5}},
		{"Defragment", func(ctx context.Context, s *maintenance.Service) error {
			_, err := s.Defragment(ctx, "")
			return err
		}, &pb.DefragmentRequest{}},
		{"HashKV", func(ctx context.Context, s *maintenance.Service) error {
			resp, err := s.HashKV(ctx, "", 12)
			if err == nil && (resp.Hash != 7 || resp.HashRevision != 12) {
				return errors.New("another answer than the server's")
			}
			return err
		}, &pb.HashKVRequest{Revision: 12}},
		{"Hash", func(ctx context.Context, s *maintenance.Service) error {
			resp, err := s.Hash(ctx, "")
			if err == nil && resp.Hash != 8 {
				return errors.New("another answer than the server's")
			}
			return err
		}, &pb.HashRequest{}},
		{"MoveLeader", func(ctx context.Context, s *maintenance.Service) error {
			_, err := s.MoveLeader(ctx, 9)
			return err
		}, &pb.MoveLeaderRequest{TargetID: 9}},
		{"Downgrade", func(ctx context.Context, s *maintenance.Service) error {
			resp, err := s.Downgrade(ctx, maintenance.DowngradeEnable, "3.6")
			if err == nil && resp.Version != "3.7.0" {
				return errors.New("another answer than the server's")
			}
			return err
		}, &pb.DowngradeRequest{Action: pb.DowngradeRequest_ENABLE, Version: "3.6"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := &member{}
			if err := tc.call(t.Context(), service(t, m)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]proto.Message{tc.want}, m.seen(), protocmp.Transform()); diff != "" {
				t.Errorf("the server has seen (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDisarmAll(t *testing.T) {
	raised := []*pb.AlarmMember{{MemberID: 1, Alarm: pb.AlarmType_NOSPACE}, {MemberID: 2, Alarm: pb.AlarmType_CORRUPT}}
	m := &member{}
	var broken error
	m.alarms = func(r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
		if r.Action == pb.AlarmRequest_GET {
			return &pb.AlarmResponse{Alarms: raised}, nil
		}
		if r.MemberID == 2 && broken != nil {
			return nil, broken
		}
		return &pb.AlarmResponse{Header: &pb.ResponseHeader{Revision: int64(r.MemberID)}, Alarms: []*pb.AlarmMember{{MemberID: r.MemberID, Alarm: r.Alarm}}}, nil
	}
	s := service(t, m)
	resp, err := s.AlarmDisarm(t.Context(), &maintenance.AlarmMember{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(raised, resp.Alarms, protocmp.Transform()); diff != "" {
		t.Errorf("disarmed (-want +got):\n%s", diff)
	}
	if got := resp.Header.GetRevision(); got != 2 {
		t.Errorf("the header has revision %d, want the last answer's, 2", got)
	}

	broken = rpctypes.ErrGRPCNoLeader
	_, err = s.AlarmDisarm(t.Context(), &maintenance.AlarmMember{})
	if err == nil || !strings.Contains(err.Error(), "1 of 2 alarms are disarmed; CORRUPT of member 2") {
		t.Errorf("got error %v, want one that says what was disarmed and what was not", err)
	}
}

// dialer connects to the fake members and counts the connections that it opens
// and closes.
type dialer struct {
	c              *etcdtest.Cluster
	opened, closed []string
}

func (d *dialer) dial(_ context.Context, endpoint string) (grpc.ClientConnInterface, func() error, error) {
	for _, m := range d.c.Members() {
		if m.Addr() != endpoint {
			continue
		}
		cc, err := m.Dial()
		if err != nil {
			return nil, nil, err
		}
		d.opened = append(d.opened, endpoint)
		return cc, func() error {
			d.closed = append(d.closed, endpoint)
			return cc.Close()
		}, nil
	}
	return nil, nil, errors.New("nobody is there")
}

func TestEndpoints(t *testing.T) {
	c := etcdtest.Start(t, 3)
	d := &dialer{c: c}
	s := maintenance.New(c.Member(0).Conn(t), maintenance.WithEndpointDialer(d.dial))
	status := func(s *maintenance.Service, endpoint string) uint64 {
		t.Helper()
		resp, err := s.Status(t.Context(), endpoint)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Header.MemberId
	}
	for i, m := range c.Members() {
		if got := status(s, m.Addr()); got != m.ID() {
			t.Errorf("Status of member %d was answered by %x, want %x", i, got, m.ID())
		}
	}
	third := s.At(c.Member(2).Addr())
	for _, tc := range []struct {
		name     string
		s        *maintenance.Service
		endpoint string
		want     int
	}{
		{"no endpoint", s, "", 0},
		{"At", third, "", 2},
		{"At, and an endpoint", third, c.Member(1).Addr(), 1},
		{"At, undone", third.At(""), "", 0},
	} {
		if got, want := status(tc.s, tc.endpoint), c.Member(tc.want).ID(); got != want {
			t.Errorf("%s: answered by %x, want %x", tc.name, got, want)
		}
	}
	if !slices.Equal(d.opened, d.closed) || len(d.opened) != 5 {
		t.Errorf("opened %q and closed %q, want the same five", d.opened, d.closed)
	}

	if _, err := s.Defragment(t.Context(), "elsewhere:1"); err == nil || !strings.Contains(err.Error(), `Defragment: connecting to "elsewhere:1": nobody is there`) {
		t.Errorf("got error %v, want one that says who could not be reached and why", err)
	}
	for name, s := range map[string]*maintenance.Service{"with a dialer": s, "without one": maintenance.New(c.Member(0).Conn(t))} {
		if _, err := s.Status(t.Context(), "http://root:secret@elsewhere:1"); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got error %v, want one without the password", name, err)
		}
	}
}

func TestEndpointWithoutDialer(t *testing.T) {
	m := &member{}
	s := service(t, m)
	for name, call := range map[string]func(string) error{
		"Defragment":   func(e string) error { _, err := s.Defragment(t.Context(), e); return err },
		"Status":       func(e string) error { _, err := s.Status(t.Context(), e); return err },
		"HashKV":       func(e string) error { _, err := s.HashKV(t.Context(), e, 0); return err },
		"Hash":         func(e string) error { _, err := s.Hash(t.Context(), e); return err },
		"AlarmList":    func(e string) error { _, err := s.At(e).AlarmList(t.Context()); return err },
		"MoveLeader":   func(e string) error { _, err := s.At(e).MoveLeader(t.Context(), 1); return err },
		"OpenSnapshot": func(e string) error { _, err := s.At(e).OpenSnapshot(t.Context()); return err },
		"AlarmDisarm": func(e string) error {
			_, err := s.At(e).AlarmDisarm(t.Context(), &maintenance.AlarmMember{})
			return err
		},
		"Downgrade": func(e string) error {
			_, err := s.At(e).Downgrade(t.Context(), maintenance.DowngradeValidate, "3.6")
			return err
		},
	} {
		if err := call("10.0.0.1:2379"); !errors.Is(err, maintenance.ErrNoEndpointDialer) || !strings.Contains(err.Error(), "10.0.0.1:2379") {
			t.Errorf("%s: got error %v, want ErrNoEndpointDialer with the endpoint", name, err)
		}
	}
	if seen := m.seen(); len(seen) > 0 {
		t.Errorf("%v were sent, want nothing", seen)
	}
}

func TestMisuse(t *testing.T) {
	m := &member{}
	s := service(t, m)
	_, errAlarm := s.AlarmDisarm(t.Context(), nil)
	_, errRev := s.HashKV(t.Context(), "", -1)
	_, errAction := s.Downgrade(t.Context(), maintenance.DowngradeAction(9), "3.6")
	for want, err := range map[string]error{"the alarm is nil": errAlarm, "the revision is -1": errRev, "no action 9": errAction} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
	if seen := m.seen(); len(seen) > 0 {
		t.Errorf("%v were sent, want nothing", seen)
	}
}

// An error that means that an old server lacks the method can be told from other
// failures.
func TestUnsupported(t *testing.T) {
	s := maintenance.New(serve(t, pb.UnimplementedMaintenanceServer{}))
	_, err := s.Downgrade(t.Context(), maintenance.DowngradeValidate, "3.6")
	if !errors.Is(err, errors.ErrUnsupported) || status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "etcd 3.5") {
		t.Errorf("got error %v, want ErrUnsupported with the code Unimplemented and the version", err)
	}
}
