"""Two spellings of one word become equal, two words never do."""

import itertools

import pytest

from medr_ray.knowledge.dictionaries import read_disease_entries, read_drug_entries
from medr_ray.knowledge.spellings import fold_spelling

BRITISH_AND_AMERICAN = """
anaemia anemia, haemophilia hemophilia, haem heme, haemolytic hemolytic, leukaemia leukemia,
septicaemic septicemic, ischaemia ischemia, thalassaemia thalassemia, oedema edema,
lymphoedema lymphedema, papilloedema papilledema, angiooedema angioedema, oesophagus esophagus,
transoesophageal transesophageal, gastrooesophageal gastroesophageal, oestrogen estrogen,
phytooestrogen phytoestrogen, dienoestrol dienestrol, foetus fetus, foetal fetal, faeces feces,
faecal fecal, caecum cecum, coeliac celiac, omphalocoele omphalocele, diarrhoea diarrhea,
rhinorrhoea rhinorrhea, apnoea apnea, dyspnoeic dyspneic, gynaecology gynecology,
paediatric pediatric, orthopaedic orthopedic, anaesthetist anesthetist, paraesthesia paresthesia,
aetiology etiology, amoebiasis amebiasis, caesarean cesarean, caesarian cesarean, naevus nevus,
leucocyte leukocyte, leucodystrophy leukodystrophy, leucopaenia leukopenia, leucaemia leukemia,
phaeochromocytoma pheochromocytoma, homoeostasis homeostasis, tumour tumor, tumours tumors,
colour color, behavioural behavioral, labour labor, neighbouring neighboring, odour odor,
fibre fiber, fibreoptic fiberoptic, litre liter, millilitres milliliters, centre center,
centred centered, goitre goiter, titres titers, sulphate sulfate, sulphonamide sulfonamide,
randomised randomized, immunisation immunization, ionisable ionizable, analyse analyze,
hydrolysed hydrolyzed, dialysing dialyzing, labelled labeled, modelling modeling,
counsellor counselor, analogue analog, programme program, defence defense, practise practice,
licence license, aluminium aluminum, grey gray, mould mold, smouldering smoldering, ageing aging,
neurone neuron, manoeuvres maneuvers, artefact artifact, disc disk, aneurism aneurysm
"""
DIFFERENT_WORDS = """
does des, filled filed, she shoe, toed ted, enter entre, aloe ale, analyses analyzes, prise prize,
loess less, scouring scoring, rigour rigor, leucine leukine, hem heme, aorta aortae, vitae vite,
coed ced, poet pet, aerial erial, hour hor, four for, tour tor, contour contor, poem pem,
members membres, litter liter, killer kiler, controller controler, pentaenoic pentenoic,
haem hem, boeck beck, raeder reder, laevis levis, sense sence, expense expence, rogue rog,
vogue vog, coenzyme cenzyme, michael michel, neuroenteric neurenteric, goes ges, sober sobre
"""
PAIRED_WORDS = [tuple(pair.split()) for pair in BRITISH_AND_AMERICAN.split(",")]
APART_WORDS = [tuple(pair.split()) for pair in DIFFERENT_WORDS.split(",")]


@pytest.mark.parametrize(("british", "american"), PAIRED_WORDS)
def test_both_spellings_of_a_word_are_equal(british: str, american: str) -> None:
    assert fold_spelling(british) == fold_spelling(american)


@pytest.mark.parametrize(("first", "second"), APART_WORDS)
def test_two_words_stay_apart(first: str, second: str) -> None:
    assert fold_spelling(first) != fold_spelling(second)


@pytest.mark.parametrize("word", ["advise", "exercise", "disease", "wise", "noise", "tortoise"])
def test_words_in_ise_that_are_no_verbs_in_ize_are_left_alone(word: str) -> None:
    assert fold_spelling(word) == word


def test_no_two_entries_of_the_dictionaries_become_one() -> None:
    """Their names, word by word. An entry may list its own British spelling."""
    names = {
        entry.name.lower() for entry in itertools.chain(read_disease_entries(), read_drug_entries())
    }
    by_fold: dict[str, set[str]] = {}
    for name in names:
        folded = " ".join(map(fold_spelling, name.split()))
        by_fold.setdefault(folded, set()).add(name)
    united = sorted(tuple(sorted(group)) for group in by_fold.values() if len(group) > 1)
    assert united == []


def test_a_folded_word_stays_as_it_is() -> None:
    words = {word for entry in read_disease_entries() for word in entry.name.lower().split()}
    words |= {word for pair in PAIRED_WORDS for word in pair}
    folded_words = sorted(map(fold_spelling, words))
    assert list(map(fold_spelling, folded_words)) == folded_words
