#!/usr/bin/env bash
# Make the data of the bench, run it, and rewrite the tables of docs/results.md:
#
#   experiments/run_all.sh DATA [--set compare.seeds=[1] …]
#
# DATA is a folder with medquad.jsonl, wdi.jsonl, icd10.jsonl, pubmedqa.jsonl, frenchmedmcqa.jsonl and real/*.jsonl; the
# heads of real/equal.toml, kinds/all.toml and kinds/untouched.toml say what they are. Further arguments are those of
# `clues compare`. Stopped and started again, it goes on: data that exists is kept, and a comparison runs what is missing.
set -euo pipefail

data=$(realpath "${1:?usage: experiments/run_all.sh DATA [arguments of clues compare]}")
shift
cd "$(dirname "$0")/.."
clues=${CLUES:-clues}
python=${PYTHON:-python}

# part OUT SAMPLES ARGUMENT…: partition, unless OUT exists. A part that was stopped leaves no OUT.
part() {
  [ -e "$1" ] && return
  rm -rf "$1.part"
  $clues partition "$2" --seed "$seed" --out "$1.part" "${@:3}"
  mv "$1.part" "$1"
}

kinds=cut,delete,noise,foreign,exchange,refusal,evasive,echo,wrong-entity,wrong-number,negation,residue,template,loop
kinds+=,mojibake,natural-end,foreign-language
[ -e runs/definitions/financial.jsonl ] || $python experiments/definitions.py runs/definitions
grep '"source": "fr"' "$data/icd10.jsonl" > runs/definitions/icd10-fr.jsonl
$python experiments/untouched.py "$data" runs/untouched
$python experiments/questions.py "$data" runs/knowledge-data

for seed in 1 2 3; do
  for file in runs/definitions/{clinical,financial,icd10-fr}.jsonl "$data"/{medquad,wdi}.jsonl; do
    name=$(basename "$file" .jsonl)
    part "runs/kinds/all-$seed-data/$name" "$file" --clients "$name" --kinds $kinds --shares 0.56 --per-client 91 \
      --max-words 40
  done
  for file in runs/untouched/*.jsonl; do
    name=$(basename "$file" .jsonl)
    part "runs/kinds/untouched-$seed-data/$name" "$file" --clients "$name" --kinds $kinds --shares 0.56 \
      --per-client 91 --max-words 100
  done
  for set in medec medquad_judged medqa_relabelled mmlu_redux fintruthqa_zh llmbar truthfulqa gsm8k_solutions \
    xstest_refusals; do
    judged=(--judged --max-words 300 --tests 0)
    [ $set = medquad_judged ] && judged+=(--validation 8 --anchors 6)
    part "runs/real/equal-$seed-data/$set" "$data/real/$set.jsonl" --clients $set --shares 0.5 "${judged[@]}"
    case $set in medquad_judged | medqa_relabelled | mmlu_redux | xstest_refusals)
      part "runs/real/natural-$seed-data/$set" "$data/real/$set.jsonl" --clients $set "${judged[@]}" ;;
    esac
  done
  part "runs/real/together-$seed-data" "$data/real/*.jsonl" --by domain --clients medquad_judged,fintruthqa_zh,llmbar \
    --shares 0.5 --judged --max-words 300 --validation 8 --anchors 6 --tests 0
done
seed=1
part runs/kinds/models-1-data "$data/medquad.jsonl" --clients 4 --shares 0,0.2,0.5,0.8 --kinds $kinds --per-client 80 \
  --max-words 40 --tests 100
part runs/kinds/models-untouched-1-data runs/untouched/gsm8k.jsonl --clients 4 --shares 0,0.2,0.5,0.8 --kinds $kinds \
  --per-client 50 --max-words 100 --tests 60

for name in real/equal real/natural real/together kinds/all kinds/untouched kinds/models kinds/models-untouched; do
  $clues compare "experiments/$name.toml" --out "runs/$name" "$@" > /dev/null
done
$clues compare experiments/kinds/models.toml --also experiments/kinds/knowledge.toml --out runs/kinds/knowledge "$@" \
  > /dev/null
$python experiments/results.py runs
