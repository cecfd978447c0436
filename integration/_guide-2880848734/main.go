package main

import (
	"context"
	"log"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/config"
)

func main() {
	cfg, err := config.Load("/etc/myprogram/etcd.yaml") // "" means the environment alone
	if err != nil {
		log.Fatal(err) // names the file, the line and the key, and what would be right
	}
	cfg.CallTimeout = 10 * time.Second // what the program sets counts most
	c, err := client.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.WaitReady(ctx); err != nil {
		log.Print(err)
	}
}
