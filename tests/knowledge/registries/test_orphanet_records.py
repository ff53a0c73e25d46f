"""Facts of Orphadata products 4, 6 and 9."""

from pathlib import Path

from medr_ray.core.records import Fact
from medr_ray.knowledge.registries import RecordFacts, UnusableRecords
from medr_ray.knowledge.registries.orphanet_records import read_orphanet_facts


def _write(
    folder: Path, file: str, inner: str, name: str = "Alexander disease", code: str = "58"
) -> str:
    path = folder / file
    path.write_text(
        f'<JDBOR date="2021-03-01 04:37:13"><Disorder><OrphaCode>{code}</OrphaCode>'
        f"<Name>{name}</Name><DisorderGroup><Name>Disorder</Name></DisorderGroup>{inner}"
        "</Disorder></JDBOR>"
    )
    return str(path)


def _finding(term: str, frequency: str) -> str:
    return (
        f"<HPODisorderAssociation><HPO><HPOId>{term}</HPOId></HPO><HPOFrequency>"
        f"<Name>{frequency}</Name></HPOFrequency></HPODisorderAssociation>"
    )


def _findings(*findings: str) -> str:
    inner = "".join(findings)
    return f"<HPODisorderAssociationList>{inner}</HPODisorderAssociationList>"


def _gene(symbol: str, association: str) -> str:
    return (
        f"<DisorderGeneAssociation><SourceOfValidation>1[PMID]</SourceOfValidation><Gene>"
        f"<Symbol>{symbol}</Symbol></Gene><DisorderGeneAssociationType><Name>{association}</Name>"
        "</DisorderGeneAssociationType></DisorderGeneAssociation>"
    )


def _figure(kind: str, qualification: str, label: str, mean: str) -> str:
    return (
        f"<Prevalence><Source>1[PMID]</Source><PrevalenceType><Name>{kind}</Name></PrevalenceType>"
        f"<PrevalenceQualification><Name>{qualification}</Name></PrevalenceQualification>"
        f"<PrevalenceClass><Name>{label}</Name></PrevalenceClass><ValMoy>{mean}</ValMoy>"
        "<PrevalenceGeographic><Name>Europe</Name></PrevalenceGeographic></Prevalence>"
    )


def _read(*paths: str) -> tuple[list[RecordFacts], UnusableRecords]:
    unusable = UnusableRecords()
    return list(read_orphanet_facts(paths, unusable)), unusable


def _state(fact: Fact) -> tuple[str, str]:
    return fact.predicate, fact.literal.text if fact.literal else fact.object


def _qualifier(fact: Fact, name: str) -> str:
    return {qualifier.name: qualifier.value for qualifier in fact.qualifiers}.get(name, "")


def test_files_of_one_date_give_one_record_a_disorder(tmp_path: Path) -> None:
    phenotypes = _write(
        tmp_path,
        "4.xml",
        _findings(
            _finding("HP:0001250", "Frequent (79-30%)"), _finding("HP:0000256", "Excluded (0%)")
        ),
    )
    ages = _write(
        tmp_path,
        "9.xml",
        "<AverageAgeOfOnsetList><AverageAgeOfOnset><Name>Infancy</Name></AverageAgeOfOnset>"
        "</AverageAgeOfOnsetList><TypeOfInheritanceList><TypeOfInheritance>"
        "<Name>Autosomal dominant</Name></TypeOfInheritance><TypeOfInheritance>"
        "<Name>Unknown</Name></TypeOfInheritance></TypeOfInheritanceList>",
    )
    (record,), unusable = _read(phenotypes, ages)
    assert not unusable
    assert (record.record_id, record.title, record.as_of) == (
        "ORPHA:58",
        "Alexander disease",
        "2021-03-01",
    )
    assert [_state(fact) for fact in record.facts] == [
        ("disorder_group", "Disorder"),
        ("has_finding", "HP:0001250"),
        ("onset_period", "Infancy"),
        ("has_inheritance", "HP:0000006"),
    ]
    finding = record.facts[1]
    assert _qualifier(finding, "frequency") == "Frequent (79-30%)"
    assert finding.evidence.field == (
        "HPODisorderAssociationList/HPODisorderAssociation[1]/HPO/HPOId"
    )
    assert record.facts[3].evidence.value == "Autosomal dominant"


def test_only_a_gene_with_disease_causing_germline_mutations_is_causative(tmp_path: Path) -> None:
    types = (
        "Disease-causing germline mutation(s) in",
        "Disease-causing germline mutation(s) (loss of function) in",
        "Major susceptibility factor in",
        "Candidate gene tested in",
        "Modifying germline mutation in",
        "Disease-causing somatic mutation(s) in",
    )
    genes = "".join(_gene(f"G{number}", label) for number, label in enumerate(types))
    inner = f"<DisorderGeneAssociationList>{genes}</DisorderGeneAssociationList>"
    (record,), _ = _read(_write(tmp_path, "6.xml", inner))
    facts = [fact for fact in record.facts if fact.predicate == "associated_gene"]
    assert [_qualifier(fact, "association") for fact in facts] == [
        "causative",
        "causative",
        *types[2:],
    ]
    assert [_qualifier(fact, "association_type") for fact in facts] == list(types)


def test_figures_keep_their_kind_place_and_unit(tmp_path: Path) -> None:
    figures = "".join(
        (
            _figure("Point prevalence", "Value and class", "1-9 / 100 000", "2.5"),
            _figure("Annual incidence", "Class only", "&lt;1 / 1 000 000", "0.0"),
            _figure("Cases/families", "Family", "", "4.0"),
            _figure("Point prevalence", "Class only", "Unknown", "0.0"),
            _figure("Hearsay", "Class only", "1-9 / 100 000", "0.0"),
            _figure("Point prevalence", "Value and class", "Unknown", "many"),
        )
    )
    (record,), _ = _read(_write(tmp_path, "9.xml", f"<PrevalenceList>{figures}</PrevalenceList>"))
    facts = record.facts[1:]
    assert [_state(fact) for fact in facts] == [
        ("has_prevalence", "1-9 / 100 000"),
        ("prevalence_value", "2.5"),
        ("has_incidence", "<1 / 1 000 000"),
        ("reported_cases", "4.0"),
    ]
    assert [fact.literal.unit for fact in facts if fact.literal] == [
        "",
        "per 100,000",
        "",
        "families",
    ]
    assert {_qualifier(fact, "place") for fact in facts} == {"Europe"}
    assert [field for field, _ in record.problems] == [
        "PrevalenceList/Prevalence[5]/PrevalenceType/Name",
        "PrevalenceList/Prevalence[6]/ValMoy",
    ]


def test_a_remark_is_a_fact_and_an_obsolete_disorder_is_left_out(tmp_path: Path) -> None:
    findings = _findings(_finding("HP:0001250", "Frequent (79-30%)"))
    common = _write(tmp_path, "a.xml", findings, "NON RARE IN EUROPE: Celiac disease", "555")
    obsolete = _write(tmp_path, "b.xml", findings, "OBSOLETE: Old disease", "7")
    (record,), _ = _read(common, obsolete)
    assert record.title == "Celiac disease"
    assert ("not_rare_in", "EUROPE") in map(_state, record.facts)


def test_other_files_and_records_without_a_number_are_named(tmp_path: Path) -> None:
    findings = _findings(_finding("HP:0001250", "Frequent (79-30%)"))
    sound = _write(tmp_path, "a.xml", findings)
    renamed = _write(tmp_path, "b.xml", findings.replace("HPODisorder", "Hpo"), code="9")
    unnumbered = _write(tmp_path, "c.xml", findings, code="x")
    cut_off = tmp_path / "d.xml"
    cut_off.write_text(Path(sound).read_text()[:200])
    records, unusable = _read(sound, renamed, unnumbered, str(cut_off))
    with_findings = [record.record_id for record in records if len(record.facts) > 1]
    assert with_findings == ["ORPHA:58"]
    assert [Path(bad.file).name for bad in unusable] == ["b.xml", "c.xml", "d.xml"]
