// Liveconfig has its settings on the cluster, and takes each change at once. A value that
// makes no sense is reported, and the last good one stays.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/config"
	"github.com/getcd/getcd/view"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

// Settings are what the key liveconfig/settings has, as JSON.
type Settings struct {
	LogLevel string `json:"logLevel"`
	Workers  int    `json:"workers"`
}

func decode(_ string, value []byte) (s Settings, err error) {
	if err = json.Unmarshal(value, &s); err == nil && s.Workers < 1 {
		err = errors.New("workers must be at least 1")
	}
	return s, err
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
	settings, err := view.New(ctx, c, "liveconfig/settings", view.Config[Settings]{
		Decode: decode,
		OnChange: func(changes []view.Change[Settings]) {
			for _, ch := range changes {
				if !ch.Deleted { // the last settings outlive their key
					fmt.Printf("log level %s, %d workers\n", ch.New.LogLevel, ch.New.Workers)
				}
			}
		},
		OnBad: func(err error) { fmt.Println("kept the last good value:", err) },
	})
	if err != nil {
		return err
	}
	<-settings.Done()
	return settings.Err()
}
