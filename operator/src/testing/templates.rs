//! The templates of the account in memory. One that is submitted stays in review.

use async_trait::async_trait;
use messaging::provider::ProviderError;
use messaging::provider::admin::{
    FoundContent, Inexpressible, Listed, ReviewBegins, TemplateAdmin, TemplateHandle, TemplateObservation,
    TemplateRevision,
};
use messaging::template::Approval;

use super::FakeAdmin;

/// What a provider says of a revision that we created there.
pub(crate) fn content_of(revision: &TemplateRevision) -> FoundContent {
    FoundContent { text: revision.content.clone(), examples: revision.examples.clone(), unusual_type: None }
}

impl FakeAdmin {
    pub(crate) fn add_template(&self, handle: &str, name: &str, language: &str, approval: Approval) {
        self.state().templates.push(TemplateObservation {
            handle: TemplateHandle::new(handle),
            name: name.into(),
            language: language.into(),
            approval,
            category: None,
            content: Err(Inexpressible("was added without a text".into())),
        });
    }

    /// The handles of its templates.
    pub(crate) fn handles(&self) -> Vec<String> {
        self.state().templates.iter().map(|template| template.handle.to_string()).collect()
    }
}

#[async_trait]
impl TemplateAdmin for FakeAdmin {
    fn review_begins(&self) -> ReviewBegins {
        self.review_begins
    }

    async fn list_templates(&self) -> Result<Listed<TemplateObservation>, ProviderError> {
        let state = self.begin("list_templates")?;
        Ok(state.listed(state.templates.clone()))
    }

    async fn create_template(&self, revision: &TemplateRevision) -> Result<TemplateHandle, ProviderError> {
        let mut state = self.begin("create_template")?;
        let handle = TemplateHandle::new(format!("HX{}", state.templates.len()));
        state.templates.push(TemplateObservation {
            handle: handle.clone(),
            name: revision.name.clone(),
            language: revision.language.clone(),
            approval: match self.review_begins {
                ReviewBegins::OnCreate => Approval::Pending,
                ReviewBegins::OnSubmit => Approval::Unsubmitted,
            },
            category: None,
            content: Ok(content_of(revision)),
        });
        Ok(handle)
    }

    async fn submit_template(
        &self,
        handle: &TemplateHandle,
        _revision: &TemplateRevision,
    ) -> Result<(), ProviderError> {
        let mut state = self.begin("submit_template")?;
        if let Some(template) = state.templates.iter_mut().find(|template| template.handle == *handle) {
            template.approval = Approval::Pending;
        }
        Ok(())
    }

    async fn delete_template(&self, handle: &TemplateHandle) -> Result<(), ProviderError> {
        self.begin("delete_template")?.templates.retain(|template| template.handle != *handle);
        Ok(())
    }
}
