package main

import (
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/wire"
)

// learner adds a member that does not vote, and runs it.
func (p *page) learner() (string, error) { return "", p.grow() }

// kill ends the member with that name, as SIGKILL does.
func (p *page) kill(name string) (string, error) { return "", p.cluster.Member(name).Kill() }

// remove removes the member with that name from the cluster.
func (p *page) remove(name string) (string, error) {
	return "", p.cluster.Member(name).Remove(p.ctx, nil)
}

// memberExists is fails for ErrGRPCMemberExist: a member is added twice in one second,
// which the ID is made of (membership.NewMember). In the first seconds of a cluster none
// can be added.
func (p *page) memberExists(why string) (string, error) {
	const method, name = "Cluster/MemberAdd", "MemberExist"
	for port := 56380; port < 56400; port++ {
		now := time.Now()
		select {
		case <-time.After(now.Truncate(time.Second).Add(time.Second).Sub(now)):
		case <-p.ctx.Done():
			return "", p.ctx.Err()
		}
		request := fmt.Sprintf("peerURLs:%q isLearner:true", fmt.Sprintf("http://127.0.0.1:%d", port))
		first, err := p.invoke(method, request, wire.Options{})
		if err != nil {
			return "", err
		}
		second, err := p.invoke(method, request, wire.Options{})
		if err != nil {
			return "", err
		}
		if first.err == nil {
			added, _ := first.answer[0].(*pb.MemberAddResponse)
			if _, err := p.do("Cluster/MemberRemove", fmt.Sprintf("ID:%d", added.GetMember().GetID())); err != nil {
				return "", err
			}
			p.names.ForgetMember(added.GetMember().GetID())
		}
		if status.Convert(second.err).Message() == status.Convert(rpcErrors[name]).Message() {
			return p.row(name, method, `peerURLs:"http://127.0.0.1:56380" isLearner:true`, why+" It is sent twice here.", second.err), nil
		}
	}
	return "", fmt.Errorf("the second MemberAdd was never in the same second as the first")
}
