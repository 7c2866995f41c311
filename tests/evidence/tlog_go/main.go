// Reads what airflow_mlgov writes with golang.org/x/mod/sumdb, which is not ours: a checkpoint, proofs, tiles.
// A mistake is one line on stderr and exit code 1.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	commands := map[string]func([]string) error{
		"checkpoint": checkpoint, "cosign": cosign, "proof": proof, "tiles": tiles,
	}
	if len(os.Args) < 3 || commands[os.Args[1]] == nil {
		fail(fmt.Errorf("which command?"))
	}
	fail(commands[os.Args[1]](os.Args[2:]))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// opened verifies a note and takes its first three lines apart; what follows them is for whoever knows it.
func opened(text []byte, key string) (origin string, tree tlog.Tree, err error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return "", tree, err
	}
	signed, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return "", tree, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) < 4 || lines[len(lines)-1] != "" {
		return "", tree, fmt.Errorf("fewer than three lines: %q", signed.Text)
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return "", tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return lines[0], tree, err
}

// checkpoint FILE KEY
func checkpoint(args []string) error {
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	origin, tree, err := opened(text, args[1])
	if err == nil {
		fmt.Println(origin, tree.N, tree.Hash)
	}
	return err
}

// witness signs a note as C2SP tlog-cosignature has it: every line of its text, behind a moment.
type witness struct {
	name   string
	key    ed25519.PrivateKey
	moment uint64
}

func (w witness) Name() string { return w.name }

func (w witness) public() []byte { return append([]byte{4}, w.key.Public().(ed25519.PublicKey)...) }

func (w witness) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(w.name+"\n"), w.public()...))
	return binary.BigEndian.Uint32(sum[:])
}

func (w witness) Sign(text []byte) ([]byte, error) {
	said := append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", w.moment)), text...)
	return append(binary.BigEndian.AppendUint64(nil, w.moment), ed25519.Sign(w.key, said)...), nil
}

// cosign FILE KEY NAME: a new witness's key, and the note with its signature.
func cosign(args []string) error {
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	if _, _, err = opened(text, args[1]); err != nil {
		return err
	}
	verifier, _ := note.NewVerifier(args[1])
	signed, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return err
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	by := witness{args[2], key, uint64(time.Now().Unix())}
	made, err := note.Sign(signed, by)
	if err == nil {
		fmt.Printf("%s+%08x+%s\n%s", by.name, by.KeyHash(), base64.StdEncoding.EncodeToString(by.public()), made)
	}
	return err
}

// proof FILE KEY DATA: a C2SP tlog-proof of one leaf, whose data is base64.
func proof(args []string) error {
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	head, signed, found := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return fmt.Errorf("not a proof: %q", head)
	}
	_, tree, err := opened(signed, args[1])
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	var path tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		path = append(path, hash)
	}
	data, err := base64.StdEncoding.DecodeString(args[2])
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(data)); err != nil {
		return err
	}
	fmt.Println(index, "of", tree.N)
	return nil
}

// folder serves the tiles of a static folder to the tile reader of the library.
type folder string

func (f folder) Height() int { return 8 }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range wanted {
		// the library's own path has the height in it, tile/8/<L>/<N>, and C2SP's has not
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil { // a partial tile may have become a full one
			full, _, partial := strings.Cut(path, ".p/")
			if !partial {
				return nil, err
			}
			if data, err = os.ReadFile(filepath.Join(string(f), full)); err != nil {
				return nil, err
			}
			data = data[:tile.W*tlog.HashSize]
		}
		read = append(read, data)
	}
	return read, nil
}

// tiles DIR KEY [OLDER]: every entry is proven in the folder's checkpoint; and that it goes on from an older note.
func tiles(args []string) error {
	text, err := os.ReadFile(filepath.Join(args[0], "checkpoint"))
	if err != nil {
		return err
	}
	_, tree, err := opened(text, args[1])
	if err != nil {
		return err
	}
	hashes := tlog.TileHashReader(tree, folder(args[0]))
	var leaves []tlog.Hash
	for n := int64(0); n*256 < tree.N; n++ {
		tile := tlog.Tile{H: 8, L: -1, N: n, W: int(min(256, tree.N-n*256))}
		// data tiles of the library are tile/8/data/<N>; C2SP's are tile/entries/<N>
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		bundle, err := os.ReadFile(filepath.Join(args[0], path))
		if err != nil {
			return err
		}
		for len(bundle) > 0 {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("%s is cut", path)
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			leaves = append(leaves, tlog.RecordHash(bundle[2:end]))
			bundle = bundle[end:]
		}
	}
	if int64(len(leaves)) != tree.N {
		return fmt.Errorf("%d entries, not %d", len(leaves), tree.N)
	}
	for index, leaf := range leaves {
		path, err := tlog.ProveRecord(tree.N, int64(index), hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(path, tree.N, tree.Hash, int64(index), leaf); err != nil {
			return err
		}
	}
	fmt.Println(tree.N, "entries")
	for _, file := range args[2:] {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		_, older, err := opened(text, args[1])
		if err != nil {
			return err
		}
		path, err := tlog.ProveTree(tree.N, older.N, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(path, tree.N, tree.Hash, older.N, older.Hash); err != nil {
			return err
		}
		fmt.Println("goes on from", older.N)
	}
	return nil
}
