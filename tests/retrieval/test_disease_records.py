"""Disease records as documents: in the fields of their registry, not in the words of questions."""

from support.question_moulds import find_mould, list_forms

from medr_ray.knowledge.hpo import load_hpo
from medr_ray.retrieval.disease_records import document_from_disease, read_line, render_line


def test_a_record_is_its_name_and_a_line_of_fields_for_each_annotation() -> None:
    lines = document_from_disease(load_hpo().diseases["OMIM:154700"]).text.splitlines()
    assert lines[:3] == [
        "Marfan syndrome",
        "Inheritance: Autosomal dominant inheritance; HPO: HP:0000006; Reference: PMID:17502658; "
        "Evidence: PCS",
        "Gene: FBN1; NCBI Gene ID: 2200; Disease: OMIM:154700",
    ]
    assert (
        "Phenotypic abnormality: Astigmatism; Frequency: 3/53; HPO: HP:0000483; "
        "Reference: PMID:33436942; Evidence: PCS"
    ) in lines


def test_every_annotation_is_read_back_from_its_line() -> None:
    for disease in load_hpo().diseases.values():
        for fact in disease.facts:
            read = read_line(render_line(fact))
            assert read == (fact.predicate, fact.object_name, fact.clinical), render_line(fact)


def test_no_field_of_a_record_is_worded_by_a_template() -> None:
    names = set()
    for disease in load_hpo().diseases.values():
        for fact in disease.facts:
            fields = render_line(fact).split("; ")
            names.update(field.partition(": ")[0] for field in fields)
    assert {"Inheritance", "Onset", "Gene", "Phenotypic abnormality", "Frequency"} <= names
    assert find_mould("; ".join(f"{name}: X" for name in sorted(names))) is None


def test_the_wording_of_every_step_would_be_noticed() -> None:
    for form in list_forms():
        text = form.format(*["Alpha"] * 4)
        assert find_mould(f"Design: random; {text}"), text


def test_every_line_states_its_annotation_beside_the_disease_of_the_title() -> None:
    for disease in list(load_hpo().diseases.values())[::50]:
        document = document_from_disease(disease)
        assert document.title == disease.name
        stated = [document.text[start:end] for start, end in document.spans][1:]
        assert len(stated) == len(disease.facts)
        for fact, line in zip(disease.facts, stated, strict=True):
            assert fact.object_name in line
