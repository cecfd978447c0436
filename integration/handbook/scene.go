package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/handbook/internal/canon"
)

// scene is the cluster of a page, and who calls it.
type scene struct {
	ctx     context.Context //nolint:containedctx // of the page, which is one call
	names   *canon.Names
	cluster *cluster.Cluster
	member  *cluster.Member // to whom calls go
	md      metadata.MD     // that calls carry
	dir     string          // for files; empty until there is one
}

// begin stops the cluster that there is, and starts another one.
func (s *scene) begin(cfg cluster.Config) error {
	if err := s.stop(); err != nil {
		return err
	}
	if cfg.ElectionTimeout == 0 {
		cfg.ElectionTimeout, cfg.HeartbeatInterval = 500*time.Millisecond, 50*time.Millisecond
	}
	c, err := cluster.Start(s.ctx, cfg)
	if err != nil {
		return err
	}
	s.cluster, s.names, s.md = c, canon.New(), nil
	s.member = c.Members()[0]
	if err := s.lead(); err != nil {
		return err
	}
	for i, m := range c.Members() {
		s.names.Member(m.ID())
		s.names.Text(m.Endpoint(), shownEndpoint(i))
	}
	return s.namePeers()
}

// lead makes the first member the leader.
func (s *scene) lead() error {
	leader, err := s.cluster.Leader(s.ctx)
	if err != nil || leader == s.member {
		return err
	}
	cc, err := grpc.NewClient("passthrough:///"+leader.Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = cc.Close() }() // nothing depends on it
	_, err = pb.NewMaintenanceClient(cc).MoveLeader(s.ctx, &pb.MoveLeaderRequest{TargetID: s.member.ID()})
	return err
}

// namePeers gives the members' addresses for each other their names.
func (s *scene) namePeers() error {
	cc, err := grpc.NewClient("passthrough:///"+s.member.Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = cc.Close() }() // nothing depends on it
	list, err := pb.NewClusterClient(cc).MemberList(s.ctx, &pb.MemberListRequest{Linearizable: true})
	if err != nil {
		return err
	}
	for _, listed := range list.GetMembers() {
		for i, m := range s.cluster.Members() {
			if m.ID() == listed.GetID() {
				shown := strings.TrimSuffix(shownEndpoint(i), "79") + "80"
				s.names.Text(strings.TrimPrefix(listed.GetPeerURLs()[0], "http://"), shown)
			}
		}
	}
	return nil
}

// grow adds a member that does not vote.
func (s *scene) grow() error {
	m, err := s.cluster.AddLearner(s.ctx, nil, 0)
	if err != nil {
		return err
	}
	s.names.Member(m.ID())
	s.names.Text(m.Endpoint(), shownEndpoint(len(s.cluster.Members())-1))
	return s.namePeers()
}

// shownEndpoint is where the pages say that the i-th member is.
func shownEndpoint(i int) string {
	return fmt.Sprintf("127.0.0.1:%s2379", strings.Repeat(fmt.Sprint(i+1), min(i, 1)))
}

func (s *scene) stop() error {
	if s.cluster == nil {
		return nil
	}
	c := s.cluster
	s.cluster = nil
	return c.Stop()
}

// temporary makes a file that is there as long as the page is made.
func (s *scene) temporary(name string, content []byte) (string, error) {
	if s.dir == "" {
		var err error
		if s.dir, err = os.MkdirTemp("", "handbook-"); err != nil {
			return "", err
		}
	}
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, content, 0o600)
}

// end stops the cluster, and removes what was made for it.
func (s *scene) end() error {
	err := s.stop()
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// index is the place of the member to whom calls go.
func (s *scene) index() int {
	for i, m := range s.cluster.Members() {
		if m == s.member {
			return i
		}
	}
	return 0
}
