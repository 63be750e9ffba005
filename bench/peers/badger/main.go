// Badger holds BadgerDB v4 with SyncWrites under the loads that the store is measured by.
//
//	badger put|get [-threads N] [-keys N] [-value-bytes N] [-seconds S]
package main

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"peers/load"
)

func fill(db *badger.DB, options *load.Options) error {
	batch := db.NewWriteBatch()
	value := load.Noise(options.Seed, options.ValueBytes)
	for key := range options.Keys {
		if err := batch.Set([]byte(load.ID(key)), value); err != nil {
			return err
		}
	}
	return batch.Flush()
}

func main() {
	options := load.Parse("put|get", nil)
	db, err := badger.Open(badger.DefaultOptions(options.Folder).WithSyncWrites(true).WithLogger(nil))
	load.Must(err)
	load.Must(fill(db, options))
	switch options.Mode {
	case "put":
		load.Run(options, func(worker *load.Worker, key int) error {
			return db.Update(func(transaction *badger.Txn) error {
				value := append([]byte(nil), worker.Value()...) // Badger keeps it until the transaction is over
				return transaction.Set([]byte(load.ID(key)), value)
			})
		})
	case "get":
		load.Run(options, func(worker *load.Worker, key int) error {
			return db.View(func(transaction *badger.Txn) error {
				item, err := transaction.Get([]byte(load.ID(key)))
				if err != nil {
					return err
				}
				_, err = item.ValueCopy(nil)
				return err
			})
		})
	default:
		load.Must(fmt.Errorf("no mode %q", options.Mode))
	}
	load.Must(db.Close())
	load.End(options)
}
