-- The rows of corpus.tsv are read without the rest of their campaign.
CREATE INDEX records_of_findings ON records (campaign, seq)
    WHERE kind IN ('review_recorded', 'finding_recorded', 'finding_marked');
