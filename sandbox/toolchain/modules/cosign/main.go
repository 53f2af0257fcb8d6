// Command cosign signs and verifies images in a registry by key, with cosign's own libraries.
//
// It takes the flags of cosign's commands generate-key-pair, sign and verify for keys in files, in variables (env://NAME)
// and in AWS KMS (awskms://…), without a transparency log. All else needs cosign itself, which takes its place on PATH.
package main

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/sigstore/cosign/v3/pkg/cosign"
	"github.com/sigstore/cosign/v3/pkg/cosign/bundle"
	registry "github.com/sigstore/cosign/v3/pkg/oci/remote"
	"github.com/sigstore/cosign/v3/pkg/types"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws" // keys by awskms://
	"github.com/sigstore/sigstore/pkg/signature/options"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

var version = "unknown"

func main() {
	commands := map[string]func([]string) error{
		"generate-key-pair": generate,
		"sign":              signImages,
		"verify":            verifyImages,
		"version":           func([]string) error { fmt.Println("GitVersion:    v" + version); return nil },
	}
	command := func([]string) error {
		return errors.New("this build knows generate-key-pair, sign, verify and version; install cosign for the rest")
	}
	var arguments []string
	if len(os.Args) > 1 && commands[os.Args[1]] != nil {
		command, arguments = commands[os.Args[1]], os.Args[2:]
	}
	if err := command(arguments); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func password(bool) ([]byte, error) { return []byte(os.Getenv("COSIGN_PASSWORD")), nil }

func generate(arguments []string) error {
	flags := flag.NewFlagSet("generate-key-pair", flag.ExitOnError)
	prefix := flags.String("output-key-prefix", "cosign", "name of the files, before .key and .pub")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	pair, err := cosign.GenerateKeyPair(password)
	if err != nil {
		return err
	}
	if err := os.WriteFile(*prefix+".key", pair.PrivateBytes, 0o600); err != nil {
		return err
	}
	return os.WriteFile(*prefix+".pub", pair.PublicBytes, 0o644)
}

// target is what sign and verify have in common: a key, a registry, and images in it.
type target struct {
	key     string
	names   []name.Option
	options []registry.Option
	images  []name.Digest
}

func parse(command string, arguments []string, log string, logged bool) (*target, error) {
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	key := flags.String("key", "", "file, env://NAME or awskms://…")
	plain := flags.Bool("allow-http-registry", false, "speak HTTP")
	withoutLog := flags.Bool(log, logged, "must be "+fmt.Sprint(!logged))
	config := flags.Bool("use-signing-config", false, "must be false")
	modern := flags.Bool("new-bundle-format", true, "must be true")
	flags.Bool("yes", true, "there are no questions")
	flags.String("output", "", "ignored")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if *key == "" || *withoutLog == logged || *config || !*modern {
		return nil, fmt.Errorf("this build needs --key, --%s=%v and bundles; install cosign for the rest", log, !logged)
	}
	made := &target{key: *key, options: []registry.Option{
		registry.WithRemoteOptions(remote.WithAuthFromKeychain(authn.DefaultKeychain)),
	}}
	if *plain {
		made.names = []name.Option{name.Insecure}
		made.options = append(made.options, registry.WithNameOptions(name.Insecure))
	}
	for _, image := range flags.Args() {
		digest, err := name.NewDigest(image, made.names...)
		if err != nil {
			return nil, err
		}
		made.images = append(made.images, digest)
	}
	if len(made.images) == 0 {
		return nil, errors.New("no image is named")
	}
	return made, nil
}

func signImages(arguments []string) error {
	ctx := context.Background()
	what, err := parse("sign", arguments, "tlog-upload", true)
	if err != nil {
		return err
	}
	pair, err := privateKey(ctx, what.key)
	if err != nil {
		return fmt.Errorf("the key %s: %w", what.key, err)
	}
	config, err := root.NewSigningConfig(root.SigningConfigMediaType02, nil, nil, nil, root.ServiceConfiguration{}, nil, root.ServiceConfiguration{})
	if err != nil {
		return err
	}
	for _, image := range what.images {
		algorithm, hex, _ := strings.Cut(image.DigestStr(), ":")
		none, err := structpb.NewStruct(nil)
		if err != nil {
			return err
		}
		statement, err := protojson.Marshal(&intoto.Statement{
			Type:          intoto.StatementTypeUri,
			Subject:       []*intoto.ResourceDescriptor{{Digest: map[string]string{algorithm: hex}, Annotations: none}},
			PredicateType: types.CosignSignPredicateType,
			Predicate:     &structpb.Struct{},
		})
		if err != nil {
			return err
		}
		content := &sign.DSSEData{Data: statement, PayloadType: types.IntotoPayloadType}
		signed, err := bundle.SignData(ctx, content, pair, "", nil, nil, config, nil, bundle.SignOptions{})
		if err != nil {
			return fmt.Errorf("signing %s: %w", image, err)
		}
		err = registry.WriteAttestationNewBundleFormat(image, signed, types.CosignSignPredicateType, what.options...)
		if err != nil {
			return fmt.Errorf("pushing the signature of %s: %w", image, err)
		}
		fmt.Fprintln(os.Stderr, "Signed", image)
	}
	return nil
}

func verifyImages(arguments []string) error {
	ctx := context.Background()
	what, err := parse("verify", arguments, "insecure-ignore-tlog", false)
	if err != nil {
		return err
	}
	verifier, err := publicKey(ctx, what.key)
	if err != nil {
		return fmt.Errorf("the key %s: %w", what.key, err)
	}
	checks := &cosign.CheckOpts{
		ClaimVerifier:      cosign.IntotoSubjectClaimVerifier,
		IgnoreTlog:         true,
		NewBundleFormat:    true,
		Offline:            true,
		RegistryClientOpts: what.options,
		SigVerifier:        verifier,
	}
	for _, image := range what.images {
		if _, _, err := cosign.VerifyImageAttestations(ctx, image, checks, what.names...); err != nil {
			return fmt.Errorf("verifying %s: %w", image, err)
		}
		fmt.Fprintln(os.Stderr, "Verified", image)
	}
	return nil
}

// read returns the text of a key: a variable's or a file's.
func read(reference string) ([]byte, error) {
	if variable, ok := strings.CutPrefix(reference, "env://"); ok {
		value, found := os.LookupEnv(variable)
		if !found {
			return nil, fmt.Errorf("the variable %s is not set", variable)
		}
		return []byte(value), nil
	}
	return os.ReadFile(reference)
}

func managed(reference string) bool {
	for _, provider := range kms.SupportedProviders() {
		if strings.HasPrefix(reference, provider) {
			return true
		}
	}
	return false
}

func publicKey(ctx context.Context, reference string) (signature.Verifier, error) {
	if managed(reference) {
		return kms.Get(ctx, reference, crypto.SHA256)
	}
	text, err := read(reference)
	if err != nil {
		return nil, err
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(text)
	if err != nil {
		return nil, err
	}
	return signature.LoadVerifier(key, crypto.SHA256)
}

func privateKey(ctx context.Context, reference string) (*keypair, error) {
	if managed(reference) {
		signer, err := kms.Get(ctx, reference, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return newKeypair(signer)
	}
	text, err := read(reference)
	if err != nil {
		return nil, err
	}
	secret, err := password(false)
	if err != nil {
		return nil, err
	}
	signer, err := cosign.LoadPrivateKey(text, secret, nil)
	if err != nil {
		return nil, err
	}
	return newKeypair(signer)
}

// keypair lets sigstore-go sign with whatever holds the key.
type keypair struct {
	signature.SignerVerifier
	public  crypto.PublicKey
	hint    []byte
	details signature.AlgorithmDetails
}

func newKeypair(signer signature.SignerVerifier) (*keypair, error) {
	public, err := signer.PublicKey()
	if err != nil {
		return nil, err
	}
	encoded, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	details, err := signature.GetDefaultAlgorithmDetails(public, *cosign.GetDefaultLoadOptions(nil)...)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(encoded)
	return &keypair{signer, public, []byte(base64.StdEncoding.EncodeToString(sum[:])), details}, nil
}

func (k *keypair) GetHashAlgorithm() common.HashAlgorithm { return k.details.GetProtoHashType() }
func (k *keypair) GetSigningAlgorithm() common.PublicKeyDetails {
	return k.details.GetSignatureAlgorithm()
}
func (k *keypair) GetHint() []byte                { return k.hint }
func (k *keypair) GetKeyAlgorithm() string        { return fmt.Sprint(k.details.GetKeyType()) }
func (k *keypair) GetPublicKey() crypto.PublicKey { return k.public }

func (k *keypair) GetPublicKeyPem() (string, error) {
	text, err := cryptoutils.MarshalPublicKeyToPEM(k.public)
	return string(text), err
}

func (k *keypair) SignData(ctx context.Context, data []byte) ([]byte, []byte, error) {
	given := []signature.SignOption{options.WithContext(ctx)}
	digest := []byte(nil)
	if kind := k.details.GetHashType(); kind != 0 {
		hash := kind.New()
		hash.Write(data)
		digest = hash.Sum(nil)
		given = append(given, options.WithDigest(digest))
	}
	made, err := k.SignMessage(strings.NewReader(string(data)), given...)
	return made, digest, err
}
