// Etcd puts and gets keys of a running etcd, each call waited for.
//
//	etcd put|get -endpoint http://127.0.0.1:PORT [-threads N] [-keys N] [-value-bytes N] [-seconds S]
package main

import (
	"context"
	"flag"
	"fmt"

	client "go.etcd.io/etcd/client/v3"

	"peers/load"
)

const several = 100 // keys of one transaction, below etcd's own limit

func fill(etcd *client.Client, options *load.Options) error {
	value := string(load.Noise(options.Seed, options.ValueBytes))
	for key := 0; key < options.Keys; {
		var puts []client.Op
		for ; len(puts) < several && key < options.Keys; key++ {
			puts = append(puts, client.OpPut(load.ID(key), value))
		}
		if _, err := etcd.Txn(context.Background()).Then(puts...).Commit(); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	endpoint := ""
	options := load.Parse("put|get", func() { flag.StringVar(&endpoint, "endpoint", "", "of etcd") })
	etcd, err := client.New(client.Config{Endpoints: []string{endpoint}})
	load.Must(err)
	load.Must(fill(etcd, options))
	switch options.Mode {
	case "put":
		load.Run(options, func(worker *load.Worker, key int) error {
			_, err := etcd.Put(context.Background(), load.ID(key), string(worker.Value()))
			return err
		})
	case "get":
		load.Run(options, func(worker *load.Worker, key int) error {
			_, err := etcd.Get(context.Background(), load.ID(key))
			return err
		})
	default:
		load.Must(fmt.Errorf("no mode %q", options.Mode))
	}
	load.Must(etcd.Close())
	load.End(options)
}
