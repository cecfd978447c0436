package main

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// severalPrograms returns the programs that run on a cluster of three members,
// over TLS.
func severalPrograms() map[string]program {
	return map[string]program{
		"members/list":   listMembers,
		"members/add":    addMember,
		"members/leader": moveLeader,
		"members/tls":    overTLS,
		"members/status": memberStatus,
		"members/watch":  watchKey,
		"members/lock":   twoMutexes,
	}
}

// peers returns peer URLs with ports at which nobody listens. They differ in each
// run.
func peers(n int) []string {
	urls := make([]string, n)
	for i := range urls {
		urls[i] = "http://127.0.0.1:" + strconv.Itoa(1024+int(time.Now().UnixNano()/1000+int64(i))%60000)
	}
	return urls
}

func addMember(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	url := peers(1)
	added, err := cli.MemberAdd(ctx, url)
	if err != nil {
		return err
	}
	p.line("the URL is that: %v, %d members", added.Member.PeerURLs[0] == url[0], len(added.Members))
	moved := peers(1)
	updated, err := cli.MemberUpdate(ctx, added.Member.ID, moved)
	if err != nil {
		return err
	}
	for _, m := range updated.Members {
		if m.ID == added.Member.ID {
			p.line("the URL is the other: %v", m.PeerURLs[0] == moved[0])
		}
	}
	removed, err := cli.MemberRemove(ctx, added.Member.ID)
	if err != nil {
		return err
	}
	p.line("%d members", len(removed.Members))
	return p.err
}

// moveLeader asks the leader, since no other member can do it.
func moveLeader(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	var leading, other string
	var to uint64
	for _, e := range cli.Endpoints() {
		status, err := cli.Status(ctx, e)
		if err != nil {
			return err
		}
		if status.Leader == status.Header.MemberId {
			leading = e
		} else {
			other, to = e, status.Header.MemberId
		}
	}
	cli.SetEndpoints(leading)
	for ctx.Err() == nil { // until the asked member is the leader
		resp, err := cli.Get(ctx, "color", clientv3.WithSerializable())
		if err != nil {
			return err
		}
		status, err := cli.Status(ctx, leading)
		if err != nil {
			return err
		}
		if resp.Header.MemberId == status.Header.MemberId {
			break
		}
	}
	if _, err := cli.MoveLeader(ctx, to); err != nil {
		return err
	}
	status, err := cli.Status(ctx, other)
	if err != nil {
		return err
	}
	p.line("it leads: %v", status.Leader == to)
	return p.err
}

// overTLS runs with a client that has certificates.
func overTLS(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	if _, err := cli.Put(ctx, "color", "green"); err != nil {
		return err
	}
	get, err := cli.Get(ctx, "color")
	if err != nil {
		return err
	}
	p.pairs(get)
	late, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	plain, err := clientv3.New(clientv3.Config{Endpoints: cli.Endpoints()[:1]})
	if err != nil {
		return err
	}
	_, err = plain.Get(late, "color")
	p.line("without certificates: %v", err != nil)
	return errors.Join(plain.Close(), p.err)
}
