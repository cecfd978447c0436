package naming_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/naming"
	"github.com/getcd/getcd/watch"
)

// registry is a fake cluster in a synctest bubble. Who registers uses a client of its
// first member, and admin its second, which no fault befalls.
type registry struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	client  *client.Client
	web     *naming.Service
	log     strings.Builder

	conn   *grpc.ClientConn
	admin  kv.KV
	leases lease.Lease
	events <-chan watch.WatchResponse // of the service's keys
}

func withRegistry(t *testing.T, test func(r *registry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		cl, err := client.New(client.Config{Endpoints: c.Addrs()[:1], DialOptions: c.DialOptions()})
		if err != nil {
			t.Fatal(err)
		}
		r := &registry{t: t, cluster: c, client: cl, conn: c.Member(1).Conn(t)}
		r.web, err = naming.New(cl, "web", naming.WithLogger(slog.New(slog.NewTextHandler(&r.log, nil))))
		if err != nil {
			t.Fatal(err)
		}
		r.admin, r.leases = kv.New(r.conn), lease.New(r.conn)
		w := watch.New(r.conn)
		r.events = w.Watch(t.Context(), "web/", kv.WithPrefix())
		t.Cleanup(func() { _, _, _ = cl.Close(), w.Close(), r.leases.Close() })
		synctest.Wait()
		test(r)
	})
}

var endpoint = naming.Endpoint{Addr: "10.0.0.1:80"}

func (r *registry) register() *naming.Registration {
	r.t.Helper()
	reg, err := r.web.Register(r.t.Context(), r.client, "web/a", endpoint)
	if err != nil {
		r.t.Fatal(err)
	}
	return reg
}

func (r *registry) close(reg *naming.Registration) {
	r.t.Helper()
	if err := reg.Close(r.t.Context()); err != nil {
		r.t.Errorf("Close: %v", err)
	}
	r.wantNothingLeft()
}

// wantThere wants the endpoint to be there, or not, and to have the lease that the
// registration speaks of.
func (r *registry) wantThere(reg *naming.Registration, times int) {
	r.t.Helper()
	synctest.Wait()
	resp, err := r.admin.Get(r.t.Context(), "web/a")
	if err != nil {
		r.t.Fatal(err)
	}
	s := reg.Status()
	if len(resp.Kvs) != 1 || resp.Kvs[0].Lease != int64(s.Lease) {
		r.t.Errorf("the endpoint is %v, want it there with the lease %x", resp.Kvs, s.Lease)
	}
	if !s.Registered || s.Err != nil || s.Times != times {
		r.t.Errorf("the status is %+v, want registered for the time %d", s, times)
	}
	if err := reg.Err(); err != nil {
		r.t.Errorf("Err is %v, want nil", err)
	}
}

func (r *registry) wantNothingLeft() {
	r.t.Helper()
	synctest.Wait()
	keys, err := r.admin.Get(r.t.Context(), "web/", kv.WithPrefix())
	if err != nil || len(keys.Kvs) != 0 {
		r.t.Errorf("%v are left (%v), want nothing", keys, err)
	}
	leases, err := r.leases.Leases(r.t.Context())
	if err != nil || len(leases.Leases) != 0 {
		r.t.Errorf("%v are left (%v), want no lease", leases, err)
	}
}

// seen are the kinds of the events since the last time.
func (r *registry) wantEvents(want string) {
	r.t.Helper()
	synctest.Wait()
	var got []string
	for {
		select {
		case resp := <-r.events:
			for _, e := range resp.Events {
				got = append(got, e.Type.String())
			}
			synctest.Wait()
			continue
		default:
		}
		break
	}
	if s := strings.Join(got, " "); s != want {
		r.t.Errorf("the events are %q, want %q", s, want)
	}
}

func TestRegistrationIsKept(t *testing.T) {
	withRegistry(t, func(r *registry) {
		ctx, cancel := context.WithCancel(r.t.Context())
		reg, err := r.web.Register(ctx, r.client, "web/a", endpoint, naming.WithTTL(5*time.Second))
		if err != nil {
			r.t.Fatal(err)
		}
		cancel()
		time.Sleep(time.Hour)
		r.wantThere(reg, 1)
		r.wantEvents("PUT")
		ttl, err := r.leases.TimeToLive(r.t.Context(), reg.Status().Lease)
		if err != nil || ttl.GrantedTTL != 5 {
			r.t.Errorf("the lease is %v, %v, want 5 s", ttl, err)
		}

		changed := reg.Changed()
		r.close(reg)
		r.wantEvents("DELETE")
		select {
		case <-changed:
		default:
			r.t.Error("Changed has not told of Close")
		}
		<-reg.Done()
		s := reg.Status()
		if !errors.Is(reg.Err(), naming.ErrClosed) || !errors.Is(reg.Err(), net.ErrClosed) || s.Registered || !errors.Is(s.Err, naming.ErrClosed) {
			r.t.Errorf("after Close: Err is %v and the status %+v, want ErrClosed", reg.Err(), s)
		}
		r.close(reg) // again
	})
}

// The lease expires while the cluster is away, or somebody revokes it.
func TestRegisteredAgain(t *testing.T) {
	for name, lose := range map[string]func(r *registry, reg *naming.Registration){
		"expired": func(r *registry, _ *naming.Registration) {
			r.cluster.Member(0).Freeze()
			time.Sleep(time.Minute)
			r.wantEvents("PUT DELETE")
			r.cluster.Member(0).Thaw()
		},
		"killed": func(r *registry, _ *naming.Registration) {
			r.cluster.Member(0).Kill()
			time.Sleep(time.Minute)
			r.wantEvents("PUT DELETE")
			r.cluster.Member(0).Start()
		},
		"revoked": func(r *registry, reg *naming.Registration) {
			if _, err := r.leases.Revoke(r.t.Context(), reg.Status().Lease); err != nil {
				r.t.Fatal(err)
			}
			r.wantEvents("PUT DELETE")
		},
	} {
		t.Run(name, func(t *testing.T) {
			withRegistry(t, func(r *registry) {
				reg := r.register()
				first := reg.Status().Lease
				changed := reg.Changed()
				lose(r, reg)
				<-changed
				time.Sleep(10 * time.Second)
				r.wantThere(reg, 2)
				r.wantEvents("PUT")
				if reg.Status().Lease == first {
					r.t.Error("it has the lease that was lost")
				}
				if log := r.log.String(); !strings.Contains(log, "a registration was lost") || !strings.Contains(log, "registered again") {
					r.t.Errorf("the log is %q, want that it was lost and registered again", log)
				}
				r.close(reg)
			})
		})
	}
}

// While it is not registered, the status says so, and why.
func TestStatusOfALoss(t *testing.T) {
	withRegistry(t, func(r *registry) {
		reg := r.register()
		r.cluster.Member(0).Freeze()
		time.Sleep(time.Minute)
		s := reg.Status()
		if s.Registered || s.Times != 1 || !errors.Is(s.Err, lease.ErrExpired) {
			r.t.Errorf("the status is %+v, want that its lease could not be renewed", s)
		}
		if err := reg.Err(); err != nil {
			r.t.Errorf("Err is %v while it tries on, want nil", err)
		}
		r.cluster.Member(0).Thaw()
		time.Sleep(time.Minute)
		r.wantThere(reg, 2)
		r.close(reg)
	})
}

// A lease that can no longer be proven may live. Then the endpoint is replaced without
// a moment in which it is not there, and what still comes of the former lease does it no
// harm.
func TestNoGapWhenTheLeaseLives(t *testing.T) {
	withRegistry(t, func(r *registry) {
		t := r.t
		var first *pb.TxnRequest // the first request that puts the endpoint
		r.cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			if txn, ok := req.(*pb.TxnRequest); ok && first == nil {
				first = txn
			}
			return next()
		})
		reg := r.register()
		kept, err := r.leases.Keep(t.Context(), reg.Status().Lease) // by whomever
		if err != nil {
			t.Fatal(err)
		}
		r.cluster.Member(0).Freeze()
		time.Sleep(time.Minute)
		if reg.Status().Registered {
			t.Error("it counts as registered, want that nobody can know")
		}
		r.cluster.Member(0).Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == pb.Lease_LeaseRevoke_FullMethodName {
				if _, err := pb.NewKVClient(r.conn).Txn(ctx, first); err != nil { // a copy comes late
					t.Errorf("the late copy: %v", err)
				}
			}
			return next()
		})
		r.cluster.Member(0).Thaw()
		time.Sleep(time.Minute)
		r.wantThere(reg, 2)
		r.wantEvents("PUT PUT")
		<-kept.Done() // revoked
		r.close(reg)
	})
}

// Whatever becomes of an answer, there is one endpoint, and nothing else.
func TestRegisterThroughLostAnswers(t *testing.T) {
	for _, method := range []string{pb.KV_Txn_FullMethodName, pb.Lease_LeaseGrant_FullMethodName} {
		for _, applied := range []bool{true, false} {
			withRegistry(t, func(r *registry) {
				lost := false
				r.cluster.Member(0).Intercept(func(_ context.Context, m string, _ any, next func() (any, error)) (any, error) {
					if m != method || lost {
						return next()
					}
					lost = true
					if applied {
						if _, err := next(); err != nil {
							r.t.Error(err)
						}
					}
					return nil, status.Error(codes.Unavailable, "the connection broke")
				})
				reg := r.register()
				r.wantThere(reg, 1)
				r.wantEvents("PUT")
				r.close(reg)
			})
		}
	}
}

// Somebody takes the endpoint out. A request that put it, and seemed lost, may come after that.
func TestLateCopyOfARegistration(t *testing.T) {
	withRegistry(t, func(r *registry) {
		t := r.t
		var first *pb.TxnRequest // the first request that puts the endpoint
		r.cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			if txn, ok := req.(*pb.TxnRequest); ok && first == nil {
				first = txn
				return nil, status.Error(codes.Unavailable, "the connection broke")
			}
			return next()
		})
		reg := r.register()
		r.wantThere(reg, 1)
		if _, err := r.admin.Delete(t.Context(), "web/a"); err != nil {
			t.Fatal(err)
		}
		if _, err := pb.NewKVClient(r.conn).Txn(t.Context(), first); !errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseNotFound) {
			t.Errorf("the late copy: %v, want that its lease is gone", err)
		}
		r.wantEvents("PUT DELETE")
		r.close(reg)
	})
}

// The process before has left its endpoint, whose lease ends later.
func TestRegisterTakesOver(t *testing.T) {
	withRegistry(t, func(r *registry) {
		t := r.t
		old, err := r.leases.Grant(t.Context(), 30)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.admin.Put(t.Context(), "web/a", "x", kv.WithLease(old.ID)); err != nil {
			t.Fatal(err)
		}
		reg := r.register()
		time.Sleep(time.Minute)
		r.wantThere(reg, 1)
		r.wantEvents("PUT PUT")

		// What others do later is left as it is.
		if _, err := r.admin.Delete(t.Context(), "web/a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		r.wantEvents("DELETE")
		r.close(reg)
	})
}

func TestRegisterInVain(t *testing.T) {
	withRegistry(t, func(r *registry) {
		t := r.t
		r.cluster.Member(0).Hang()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		_, err := r.web.Register(ctx, r.client, "web/a", endpoint)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), `naming: registering "web/a": `) {
			t.Errorf("Register: %v, want the deadline's error", err)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("it took %v, want at most 3s beyond its context", took)
		}
		r.cluster.Member(0).Resume()
		time.Sleep(time.Minute)
		r.wantNothingLeft()

		refuse := func(context.Context, string, any, func() (any, error)) (any, error) {
			return nil, rpctypes.ErrGRPCPermissionDenied
		}
		r.cluster.Member(0).Intercept(refuse)
		if _, err := r.web.Register(t.Context(), r.client, "web/a", endpoint); !errors.Is(err, rpctypes.ErrPermissionDenied) {
			t.Errorf("Register: %v, want the server's refusal", err)
		}
		r.cluster.Member(0).Intercept(nil)

		// Later, too, it ends the registration.
		reg := r.register()
		r.cluster.Member(0).Intercept(refuse)
		if _, err := r.leases.Revoke(t.Context(), reg.Status().Lease); err != nil {
			t.Fatal(err)
		}
		<-reg.Done()
		if err := reg.Err(); !errors.Is(err, rpctypes.ErrPermissionDenied) || reg.Status().Registered {
			t.Errorf("Err is %v and the status %+v, want the server's refusal", err, reg.Status())
		}
		r.cluster.Member(0).Intercept(nil)
		r.close(reg)
	})
}

// While the cluster has no space, who calls Register is told so at once, and what is
// registered waits for space.
func TestRegisterWithoutSpace(t *testing.T) {
	for _, method := range []string{pb.Lease_LeaseGrant_FullMethodName, pb.KV_Txn_FullMethodName} {
		withRegistry(t, func(r *registry) {
			t := r.t
			full := func(_ context.Context, m string, _ any, next func() (any, error)) (any, error) {
				if m == method {
					return nil, rpctypes.ErrGRPCNoSpace
				}
				return next()
			}
			r.cluster.Member(0).Intercept(full)
			begin := time.Now()
			if _, err := r.web.Register(t.Context(), r.client, "web/a", endpoint); !errors.Is(err, rpctypes.ErrNoSpace) {
				t.Errorf("%s: Register: %v, want that there is no space", method, err)
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("%s: it took %v", method, took)
			}
			r.wantNothingLeft()

			r.cluster.Member(0).Intercept(nil)
			reg := r.register()
			r.cluster.Member(0).Intercept(full)
			if _, err := r.leases.Revoke(t.Context(), reg.Status().Lease); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if s := reg.Status(); reg.Err() != nil || s.Registered || !errors.Is(s.Err, rpctypes.ErrNoSpace) {
				t.Errorf("%s: Err is %v and the status %+v, want that it waits for space", method, reg.Err(), s)
			}
			r.cluster.Member(0).Intercept(nil)
			time.Sleep(time.Minute)
			r.wantThere(reg, 2)
			r.close(reg)
		})
	}
}

// The error of Register has both what the context's end is and why.
func TestRegisterTellsTheCause(t *testing.T) {
	withRegistry(t, func(r *registry) {
		r.cluster.Member(0).Hang()
		why := errors.New("the server stops")
		ctx, cancel := context.WithCancelCause(r.t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		if _, err := r.web.Register(ctx, r.client, "web/a", endpoint); !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			r.t.Errorf("Register: %v, want context.Canceled and the cause", err)
		}
		r.cluster.Member(0).Resume()
	})
}

func TestRegistrationOfAClosedClient(t *testing.T) {
	withRegistry(t, func(r *registry) {
		reg := r.register()
		if err := r.client.Close(); err != nil {
			r.t.Fatal(err)
		}
		<-reg.Done()
		if err := reg.Err(); !errors.Is(err, net.ErrClosed) || errors.Is(err, naming.ErrClosed) {
			r.t.Errorf("Err is %v, want the client's", err)
		}
		if err := reg.Close(r.t.Context()); err == nil || !strings.HasPrefix(err.Error(), "naming: ") {
			r.t.Errorf("Close: %v, want an error: the endpoint stays until its lease has expired", err)
		}
	})
}

func TestCloseInAnOutage(t *testing.T) {
	for _, after := range []time.Duration{time.Second, time.Minute} { // before the loss, and after it
		withRegistry(t, func(r *registry) {
			reg := r.register()
			r.cluster.Member(0).Freeze()
			time.Sleep(after)
			begin := time.Now()
			if err := reg.Close(r.t.Context()); err == nil || !strings.HasPrefix(err.Error(), "naming: revoking lease ") {
				r.t.Errorf("Close after %v: %v, want that the lease could not be revoked", after, err)
			}
			if took := time.Since(begin); took > 7*time.Second {
				r.t.Errorf("Close after %v took %v, want at most 3s, twice", after, took)
			}
			r.cluster.Member(0).Thaw()
			time.Sleep(time.Minute)
			r.wantNothingLeft()
		})
	}
}

func TestRegisterMisuse(t *testing.T) {
	withRegistry(t, func(r *registry) {
		for _, tt := range []struct {
			leases lease.Lease
			key    string
			opt    naming.RegisterOption
			want   string
		}{
			{nil, "web/a", naming.WithTTL(time.Second), "naming: Register: the lease service is nil"},
			{r.client, "site/a", naming.WithTTL(time.Second), `naming: the key "site/a" does not belong to the service, whose keys begin with "web/"`},
			{r.client, "web/a", naming.WithTTL(time.Millisecond), "naming: WithTTL is 1ms; leases have whole seconds, from 1 s to 9000000000 s"},
			{r.client, "web/a", nil, "naming: Register: option 1 is nil; leave it out"},
		} {
			if _, err := r.web.Register(r.t.Context(), tt.leases, tt.key, endpoint, tt.opt); err == nil || err.Error() != tt.want {
				r.t.Errorf("Register: got %v, want %q", err, tt.want)
			}
		}
		r.wantNothingLeft()
	})
}
