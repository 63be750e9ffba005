// Stigmer does what a Go program does that keeps its resources in SQLite by modernc.org/sqlite: WAL, one mutex around
// all writing, a statement a write through database/sql, and read-change-write under that mutex.
//
//	stigmer put|get|storm [-threads N] [-keys N] [-value-bytes N] [-seconds S] [-synchronous FULL|NORMAL]
//
// storm: each operation reads a document, lets it grow by 1 KiB, and writes it back; at -value-bytes it begins anew.
package main

import (
	"database/sql"
	"flag"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"

	_ "modernc.org/sqlite"

	"peers/load"
)

const (
	kind   = "bench"
	step   = 1024
	schema = `CREATE TABLE resources (kind TEXT NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL,
		updated_at TEXT NOT NULL DEFAULT (datetime('now')), PRIMARY KEY (kind, id)) WITHOUT ROWID;
		CREATE INDEX idx_resources_kind_id ON resources (kind, id);`
	save = `INSERT OR REPLACE INTO resources (kind, id, data, updated_at) VALUES (?, ?, ?, datetime('now'))`
	read = `SELECT data FROM resources WHERE kind = ? AND id = ?`
)

type store struct {
	db      *sql.DB
	writing sync.Mutex
}

func open(folder, synchronous string) (*store, error) {
	settings := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(" + synchronous + ")", "busy_timeout(5000)",
		"cache_size(-64000)", "foreign_keys(ON)", "temp_store(MEMORY)"}}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "stigmer.sqlite")+"?"+settings.Encode())
	if err != nil {
		return nil, err
	}
	_, err = db.Exec(schema)
	return &store{db: db}, err
}

func (s *store) put(id string, data []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := s.db.Exec(save, kind, id, data)
	return err
}

func (s *store) get(id string) (data []byte, err error) {
	err = s.db.QueryRow(read, kind, id).Scan(&data)
	return data, err
}

func (s *store) grow(id string, piece []byte, most int) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	data, err := s.get(id)
	if err != nil {
		return err
	}
	if len(data)+step > most {
		data = data[:0]
	}
	_, err = s.db.Exec(save, kind, id, append(data, piece[:step]...))
	return err
}

// A document stands at another size for each key, as those of the other storm do.
func (s *store) fill(options *load.Options) error {
	transaction, err := s.db.Begin()
	if err != nil {
		return err
	}
	noise := load.Noise(options.Seed, options.ValueBytes)
	for key := range options.Keys {
		size := options.ValueBytes
		if options.Mode == "storm" {
			steps := options.ValueBytes / step
			size = (1 + key*steps/options.Keys%steps) * step
		}
		if _, err := transaction.Exec(save, kind, load.ID(key), noise[:size]); err != nil {
			return err
		}
	}
	return transaction.Commit()
}

func main() {
	synchronous := "FULL"
	options := load.Parse("put|get|storm", func() {
		flag.StringVar(&synchronous, "synchronous", synchronous, "FULL syncs each commit")
	})
	store, err := open(options.Folder, synchronous)
	load.Must(err)
	load.Must(store.fill(options))
	operations := map[string]func(*load.Worker, int) error{
		"put": func(worker *load.Worker, key int) error { return store.put(load.ID(key), worker.Value()) },
		"get": func(worker *load.Worker, key int) error {
			_, err := store.get(load.ID(key))
			return err
		},
		"storm": func(worker *load.Worker, key int) error {
			return store.grow(load.ID(key), worker.Value(), options.ValueBytes)
		},
	}
	operation, found := operations[options.Mode]
	if !found {
		load.Must(fmt.Errorf("no mode %q", options.Mode))
	}
	load.Run(options, operation)
	load.Must(store.db.Close())
	load.End(options)
}
