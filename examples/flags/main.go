// Flags answers whether a feature is on for a user, from memory, for a web server that asks
// with every request.
package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/config"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/view"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

// Flag is what flags/NAME has, as JSON: the part of the users for whom the feature is on.
type Flag struct {
	Percent uint32 `json:"percent"`
}

// For says whether the feature is on for a user. It says the same of a user each time.
func (f Flag) For(user string) bool {
	h := fnv.New32a()
	h.Write([]byte(user))
	return h.Sum32()%100 < f.Percent
}

func run(ctx context.Context) error {
	cfg, err := config.Load("") // ETCDCTL_ENDPOINTS and its like
	if err != nil {
		return err
	}
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	flags, err := view.New(ctx, c, "flags/", view.Config[Flag]{
		Decode: view.JSON[Flag],
		OnBad:  func(err error) { log.Print(err) },
	}, kv.WithPrefix())
	if err != nil {
		return err
	}
	if err := flags.WaitSync(ctx); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	fmt.Println("listening on", listener.Addr())
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		flag, _ := flags.Get("flags" + r.URL.Path) // one that does not exist is off
		fmt.Fprintln(w, flag.For(r.FormValue("user")))
	}))
}
